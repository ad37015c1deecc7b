//! The archive for GCE as tar programs read it.

use lunikernel_exporters::{Content, Disk, gce, raw};

use crate::sample::disk;
use crate::tools::{make, need, room, run};

/// More pieces than the header has room for, and more than one record that extends it.
fn in_pieces() -> Disk {
    let mut disk = Disk::new(9 << 30).unwrap();
    for number in 0..60u64 {
        // Beyond 8 GiB, places are written in another way.
        let at = number * ((9 << 30) / 60) + 4096;
        let bytes = number.to_le_bytes().repeat(700);
        disk.put(at, Content::bytes(bytes)).unwrap();
    }
    disk
}

#[test]
fn gnu_tar_takes_the_disk_out_as_it_was() {
    let (Some(tar), Some(gzip), Some(qemu)) = (need("tar"), need("gzip"), need("qemu-img")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let empty = Disk::new(1 << 30).unwrap();
    for disk in [
        empty,
        disk(20, 1 << 30, 50),
        in_pieces(),
        disk(21, 2 << 30, 4),
    ] {
        make(&place("archive.tar.gz"), |out| gce::write(&disk, out));
        run(&gzip, ["-t", place("archive.tar.gz").to_str().unwrap()]);
        let listed = run(&tar, ["-tvzf", place("archive.tar.gz").to_str().unwrap()]);
        let size = disk.size().to_string();
        let expected = [
            "-rw-r--r--",
            "0/0",
            &size,
            "1970-01-01",
            "00:00",
            "disk.raw",
        ];
        assert_eq!(listed.split_whitespace().collect::<Vec<_>>(), expected);
        let archive = place("archive.tar.gz");
        run(
            &tar,
            [
                "-xSzf".as_ref(),
                archive.as_os_str(),
                "-C".as_ref(),
                folder.path().as_os_str(),
            ],
        );
        make(&place("reference"), |out| raw::write(&disk, out));
        let (reference, taken_out) = (place("reference"), place("disk.raw"));
        let pair = [reference.as_os_str(), taken_out.as_os_str()];
        let compare = ["compare", "-s", "-f", "raw", "-F", "raw"].map(std::ffi::OsStr::new);
        let said = run(&qemu, compare.into_iter().chain(pair));
        assert!(said.contains("identical"), "{said}");
        let room = room(&taken_out);
        assert!(
            room < disk.content_len() + (1 << 20),
            "it was sparse: {room}"
        );
    }
}

/// A second reader, which knows the format from its description and not from GNU's code.
#[test]
fn python_reads_the_same_from_it() {
    let Some(python) = need("python3") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive.tar.gz");
    let disk = disk(22, 1 << 30, 30);
    make(&archive, |out| gce::write(&disk, out));
    let mut hasher = lunikernel_cache::Hasher::new();
    raw::write(
        &disk,
        &mut lunikernel_exporters::sink::Stream(HashOf(&mut hasher)),
    )
    .unwrap();
    let script = "
import hashlib, sys, tarfile
member, = tarfile.open(sys.argv[1]).getmembers()
assert member.issparse() and member.name == 'disk.raw', member
hash, file = hashlib.sha256(), tarfile.open(sys.argv[1]).extractfile('disk.raw')
while data := file.read(1 << 20):
    hash.update(data)
print(hash.hexdigest())
";
    let said = run(&python, ["-c", script, archive.to_str().unwrap()]);
    assert_eq!(said.trim(), hasher.finish().sha256.hex());
}

struct HashOf<'a>(&'a mut lunikernel_cache::Hasher);

impl std::io::Write for HashOf<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
