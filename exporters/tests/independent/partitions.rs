//! Partition tables as gdisk sees them, and FAT as dosfstools and mtools do.

use std::path::Path;

use lunikernel_exporters::fat::{self, FileTree, Volume};
use lunikernel_exporters::gpt::{self, Kind, Partition, SECTOR};
use lunikernel_exporters::{Content, Disk, raw};

use crate::sample::{Dice, identity};
use crate::tools::{make, need, run};

fn volume(size: u64) -> Volume {
    Volume {
        size,
        label: "LUNI ESP".to_owned(),
        id: identity().number("esp"),
        hidden_sectors: 4096,
    }
}

/// Files as an EFI system partition has them, and such as one does not.
fn files(seed: u64, count: usize) -> Vec<(String, Vec<u8>)> {
    let mut dice = Dice::new(seed);
    let mut files = vec![
        ("EFI/BOOT/BOOTX64.EFI".to_owned(), dice.bytes(300_001)),
        ("vmlinuz".to_owned(), dice.bytes(1_000_000)),
        ("initrd.img".to_owned(), dice.bytes(65_536)),
        ("empty".to_owned(), Vec::new()),
        ("ONE".to_owned(), vec![1]),
        ("boot/grub/grub.cfg".to_owned(), b"set timeout=0\n".to_vec()),
        (
            "boot/grub/a name with spaces.and.dots.txt".to_owned(),
            vec![2; 512],
        ),
        (
            "boot/grub/A name with spaces too.txt".to_owned(),
            vec![3; 513],
        ),
        ("a".repeat(200), vec![4; 4096]),
    ];
    for number in 0..count {
        let len = dice.below(9000) as usize;
        files.push((
            format!("many/folder {}/file-{number}", number % 7),
            dice.bytes(len),
        ));
    }
    files
}

fn tree(files: &[(String, Vec<u8>)]) -> FileTree {
    let mut tree = FileTree::new();
    for (path, bytes) in files {
        tree.add(path, Content::bytes(bytes.clone())).unwrap();
    }
    tree
}

/// The last is the smallest that holds them.
fn volumes(tree: &FileTree) -> Vec<Disk> {
    let smallest = fat::smallest(tree).unwrap();
    let sizes = [
        8 << 20,
        33 << 20,
        64 << 20,
        300 << 20,
        (16 << 30) + 512,
        smallest,
    ];
    let fitting = sizes.into_iter().filter(|size| *size >= smallest);
    fitting
        .map(|size| fat::build(tree, &volume(size)).unwrap())
        .collect()
}

#[test]
fn dosfstools_finds_nothing_to_mend() {
    let Some(fsck) = need("fsck.vfat") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("esp");
    for tree in [FileTree::new(), tree(&files(1, 0)), tree(&files(2, 900))] {
        for disk in volumes(&tree) {
            make(&image, |out| raw::write(&disk, out));
            let said = run(&fsck, ["-n", "-v", image.to_str().unwrap()]);
            let complaints = ["ifferen", "rong", "nvalid", "ncorrect", "Auto"];
            let found = complaints.iter().find(|it| said.contains(**it));
            assert_eq!(found, None, "{}: {said}", disk.size());
        }
    }
}

#[test]
fn mtools_reads_every_file_as_it_was() {
    let (Some(mcopy), Some(mdir)) = (need("mcopy"), need("mdir")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (image, out) = (folder.path().join("esp"), folder.path().join("out"));
    let files = files(3, 60);
    for disk in volumes(&tree(&files)) {
        make(&image, |out| raw::write(&disk, out));
        let image = image.to_str().unwrap();
        let _ = fs_err::remove_dir_all(&out);
        fs_err::create_dir(&out).unwrap();
        run(
            &mcopy,
            ["-s", "-n", "-m", "-i", image, "::*", out.to_str().unwrap()],
        );
        for (path, bytes) in &files {
            assert!(fs_err::read(out.join(path)).unwrap() == *bytes, "{path}");
        }
        assert_eq!(count(&out), files.len());
        let listed = run(&mdir, ["-i", image, "::"]);
        assert!(listed.contains("Volume in drive : is LUNI ESP"), "{listed}");
        assert!(listed.contains("1980-01-01   0:00"), "{listed}");
    }
}

fn count(folder: &Path) -> usize {
    let entries = fs_err::read_dir(folder).unwrap();
    let files = entries.map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { count(&path) } else { 1 }
    });
    files.sum()
}

fn partitioned(size: u64) -> Disk {
    let esp = fat::build(&tree(&files(4, 0)), &volume(40 << 20)).unwrap();
    let mut core = Disk::new(100_000).unwrap();
    core.put(0, Content::bytes(vec![0xcc; 100_000])).unwrap();
    let mut disk = Disk::new(size).unwrap();
    let partitions = [
        Partition {
            kind: Kind::BiosBoot,
            name: "BIOS boot".to_owned(),
            first: 2048,
            content: core,
        },
        Partition {
            kind: Kind::EfiSystem,
            name: "EFI system".to_owned(),
            first: 4096,
            content: esp,
        },
    ];
    gpt::place(&mut disk, &identity(), &partitions, &[0x90; 440]).unwrap();
    disk
}

#[test]
fn gdisk_finds_no_problems() {
    let Some(sgdisk) = need("sgdisk") else { return };
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk");
    // The first is the smallest possible: the backup follows the partitions at once.
    let least = (4096 * SECTOR + (40 << 20)) + gpt::BACKUP_SECTORS * SECTOR;
    for size in [least, 64 << 20, 1 << 30, 3 << 40] {
        let disk = partitioned(size);
        make(&image, |out| raw::write(&disk, out));
        let image = image.to_str().unwrap();
        let said = run(&sgdisk, ["-v", image]);
        assert!(said.contains("No problems found."), "{said}");
        let printed = run(&sgdisk, ["-p", "-i", "1", "-i", "2", image]);
        for expected in [
            &format!("{}", identity().guid("gpt disk")).to_uppercase(),
            &format!("{}", identity().guid("gpt partition 2")).to_uppercase(),
            "21686148-6449-6E6F-744E-656564454649 (BIOS boot partition)",
            "C12A7328-F81F-11D2-BA4B-00A0C93EC93B (EFI system partition)",
            "First sector: 4096",
            "'EFI system'",
        ] {
            assert!(printed.contains(expected), "{expected}: {printed}");
        }
    }
}

#[test]
fn a_file_system_is_found_through_the_partition_table() {
    let (Some(mcopy), Some(_)) = (need("mcopy"), need("mdir")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk");
    make(&image, |out| raw::write(&partitioned(64 << 20), out));
    let at = format!("{}@@2M", image.to_str().unwrap());
    let out = folder.path().join("cfg");
    run(
        &mcopy,
        ["-i", &at, "::/boot/grub/grub.cfg", out.to_str().unwrap()],
    );
    assert_eq!(fs_err::read(&out).unwrap(), b"set timeout=0\n");
}
