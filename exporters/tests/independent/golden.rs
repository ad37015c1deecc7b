//! The digests of what is made of one small disk. They are the promise of the exporters:
//! a change of one changes everybody's images, and needs a reason.

use std::fmt::Write as _;

use lunikernel_cache::{HashingWriter, Sha256};
use lunikernel_exporters::fat::{self, FileTree, Volume};
use lunikernel_exporters::gpt::{self, Kind, Partition};
use lunikernel_exporters::qcow2::Clusters;
use lunikernel_exporters::sink::Stream;
use lunikernel_exporters::{
    BlockMap, Content, Disk, WriteError, gce, qcow2, raw, vdi, vhd, vhdx, vmdk,
};

use crate::sample::{Dice, identity};

fn disk() -> Disk {
    let mut dice = Dice::new(1);
    let mut tree = FileTree::new();
    let noise: Vec<u8> = (0..400_000).map(|_| (dice.next() >> 32) as u8).collect();
    let text: Vec<u8> = (0..60_000u32)
        .flat_map(|it| it.to_string().into_bytes())
        .collect();
    tree.add("EFI/BOOT/BOOTX64.EFI", Content::bytes(text))
        .unwrap();
    tree.add("a long name.img", Content::bytes(noise)).unwrap();
    let volume = Volume {
        size: 33 << 20,
        label: "ESP".to_owned(),
        id: identity().number("esp"),
        hidden_sectors: 4096,
    };
    let esp = Partition {
        kind: Kind::EfiSystem,
        name: "EFI system".to_owned(),
        first: 4096,
        content: fat::build(&tree, &volume).unwrap(),
    };
    let mut disk = Disk::new(1 << 30).unwrap();
    gpt::place(&mut disk, &identity(), &[esp], &[0x90; 440]).unwrap();
    disk
}

type Write<'a> = &'a dyn Fn(&mut Vec<u8>) -> Result<(), WriteError>;

#[test]
fn digests_are_the_committed_ones() {
    let disk = disk();
    let mut found = String::new();
    let mut add = |name: &str, sha256: Sha256| writeln!(found, "{} {name}", sha256.hex()).unwrap();
    let map = BlockMap::of(&disk).unwrap();
    add("block digest", map.digest());
    add("block map", Sha256::of(&map.to_canonical().unwrap()));
    let writers: [(&str, Write<'_>); 7] = [
        ("gce", &|out| gce::write(&disk, out)),
        ("qcow2", &|out| qcow2::write(&disk, Clusters::Plain, out)),
        ("qcow2-compressed", &|out| {
            qcow2::write(&disk, Clusters::Compressed, out)
        }),
        ("vmdk", &|out| vmdk::write(&disk, &identity(), out)),
        ("vhd-dynamic", &|out| {
            vhd::write_dynamic(&disk, &identity(), out)
        }),
        ("vdi", &|out| vdi::write(&disk, &identity(), out)),
        ("vhdx", &|out| vhdx::write(&disk, &identity(), out)),
    ];
    for (name, write) in writers {
        let mut bytes = Vec::new();
        write(&mut bytes).unwrap();
        add(name, Sha256::of(&bytes));
    }
    let mut whole = Stream(HashingWriter::new(std::io::sink()));
    raw::write(&disk, &mut whole).unwrap();
    add("raw", whole.0.finish().1.sha256);
    let expected = include_str!("../golden/sample.sha256");
    assert!(found == expected, "expected:\n{expected}\nfound:\n{found}");
}

/// How a disk is cut into extents must not show.
#[test]
fn only_the_bytes_count() {
    let disk = disk();
    let mut copy = Disk::new(disk.size()).unwrap();
    for range in disk.occupied(1 << 20) {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        disk.read_at(&mut bytes, range.start).unwrap();
        for (number, piece) in (0..).zip(bytes.chunks(77_777)) {
            copy.put(range.start + number * 77_777, Content::bytes(piece))
                .unwrap();
        }
    }
    assert!(copy.content_len() > disk.content_len());
    let all = |disk: &Disk| {
        let (mut one, mut two, mut three) = (Vec::new(), Vec::new(), Vec::new());
        gce::write(disk, &mut one).unwrap();
        qcow2::write(disk, Clusters::Compressed, &mut two).unwrap();
        vhd::write_dynamic(disk, &identity(), &mut three).unwrap();
        [one, two, three].map(|it| Sha256::of(&it))
    };
    assert_eq!(all(&copy), all(&disk));
}
