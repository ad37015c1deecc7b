//! Kernels put together here, and packed by other programs where these are installed.

use std::io::Write as _;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use lunikernel_testing::{left_out, this_test};

use super::*;

/// An ELF file whose only segments are one that is loaded and, where `notes` has something,
/// these.
fn kernel(notes: &[u8]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    let mut put = |bytes: &[u8]| file.extend_from_slice(bytes);
    put(&2u16.to_le_bytes());
    put(&62u16.to_le_bytes());
    put(&1u32.to_le_bytes());
    for number in [0x100_0000u64, 64, 0] {
        put(&number.to_le_bytes());
    }
    put(&[0; 4]);
    for number in [64u16, 56, 2, 0, 0, 0] {
        put(&number.to_le_bytes());
    }
    for (kind, at, size) in [(1u32, 0u64, 176u64), (4, 176, notes.len() as u64)] {
        put(&kind.to_le_bytes());
        put(&[0; 4]);
        for number in [at, 0, 0, size, size, 4] {
            put(&number.to_le_bytes());
        }
    }
    put(notes);
    // Something to look back at, and to look through for calls.
    for number in 0..200_000u32 {
        file.extend_from_slice(&[0xe8, (number % 251) as u8, (number % 7) as u8, 0, 0]);
    }
    file
}

fn note(owner: &[u8; 4], kind: u32, content: &[u8; 8]) -> Vec<u8> {
    let mut note = [4u32, 8, kind].map(u32::to_le_bytes).concat();
    note.extend_from_slice(owner);
    note.extend_from_slice(content);
    note
}

/// A bzImage with `payload` in it.
fn image(payload: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 2048];
    image[0x1f1] = 3;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
    image[0x248..0x24c].copy_from_slice(&100u32.to_le_bytes());
    image[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    image.resize(2048 + 100, 0xcc);
    image.extend_from_slice(payload);
    image.resize(image.len() + 1000, 0xcc);
    image
}

fn unpack(kernel: &[u8]) -> Result<(Vec<u8>, bool), VmlinuxError> {
    let folder = tempfile::tempdir().unwrap();
    let found = super::unpack(&Content::bytes(kernel), folder.path())?;
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
    Ok((found.content.to_vec(64 << 20).unwrap(), found.pvh))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// What `program` packs `bytes` to, and their size behind it; `None` where there is none.
fn packed_by(program: &str, arguments: &[&str], bytes: &[u8]) -> Option<Vec<u8>> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut input = child.stdin.take().unwrap();
    let owned = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&owned));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{program}");
    let mut packed = output.stdout;
    packed.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    Some(packed)
}

#[test]
fn kernels_are_unpacked_as_their_makefile_packs_them() {
    let kernel = kernel(&note(b"Xen\0", 18, &[0; 8]));
    assert_eq!(
        unpack(&image(&gzip(&kernel))).unwrap(),
        (kernel.clone(), true)
    );
    for (program, arguments) in [
        ("xz", "--format=xz --check=crc32 --x86 --lzma2=dict=32MiB"),
        ("zstd", "-22 --ultra"),
        ("lz4", "-l -9"),
    ] {
        let arguments: Vec<&str> = arguments.split(' ').chain(["-c"]).collect();
        match packed_by(program, &arguments, &kernel) {
            Some(packed) => {
                let (unpacked, pvh) = unpack(&image(&packed)).unwrap();
                assert!(unpacked == kernel && pvh, "{program}");
            }
            None => left_out(
                &format!("vmlinux::{}", this_test()),
                &format!("there is no program `{program}`"),
            ),
        }
    }
}

#[test]
fn an_entry_for_pvh_is_looked_for_in_the_notes() {
    let two = [note(b"GNU\0", 3, &[1; 8]), note(b"Xen\0", 18, &[0; 8])].concat();
    assert!(unpack(&kernel(&two)).unwrap().1);
    for none in [
        Vec::new(),
        note(b"GNU\0", 18, &[0; 8]),
        note(b"Xen\0", 3, &[0; 8]),
        vec![0xff; 30],
    ] {
        assert!(!unpack(&kernel(&none)).unwrap().1);
    }
}

#[test]
fn what_is_no_kernel_is_refused_with_the_reason() {
    let refused = |kernel: &[u8]| unpack(kernel).unwrap_err().to_string();
    let good = image(&gzip(&kernel(b"")));
    for kernel in [&b""[..], b"no kernel", &[0; 4096]] {
        assert!(refused(kernel).contains("expected a bzImage"));
    }
    let mut old = good.clone();
    old[0x206..0x208].copy_from_slice(&0x207u16.to_le_bytes());
    assert!(refused(&old).contains("for version 2.07 of the boot protocol"));
    let mut short = good.clone();
    short.truncate(3000);
    assert!(
        refused(&short).contains("it has 852 bytes"),
        "{}",
        refused(&short)
    );
    let lzo = image(b"\x89LZO\0\r\n\x1a\n and more");
    assert!(
        refused(&lzo).contains("[89, 4c, 5a, 4f]"),
        "{}",
        refused(&lzo)
    );

    // Its size, which is a part of gzip too.
    let mut packed = gzip(&kernel(b""));
    let size = packed.len();
    packed[size - 4..].copy_from_slice(&0x1100_0000u32.to_le_bytes());
    assert!(refused(&image(&packed)).contains("268435456 are the most"));
    packed[size - 4..].copy_from_slice(&4096u32.to_le_bytes());
    assert!(refused(&image(&packed)).contains("it has 4097 bytes"));
    let mut damaged = gzip(&kernel(b""));
    damaged[size / 2..][..100].fill(0xff);
    assert!(refused(&image(&damaged)).contains("is damaged"));

    let elf = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut kernel = kernel(b"");
        change(&mut kernel);
        refused(&kernel)
    };
    assert!(elf(&|it| it[4] = 1).contains("of 64 bits"));
    assert!(elf(&|it| it[18] = 183).contains("for another processor"));
    assert!(elf(&|it| it[56] = 200).contains("of no kind"));
    assert!(elf(&|it| it[64] = 6).contains("nothing of it is loaded"));
    assert!(elf(&|it| it[64 + 15] = 1).contains("beyond its end"));
    assert!(elf(&|it| it[32 + 7] = 0xff).contains("beyond its end"));
    assert!(elf(&|it| it.truncate(60)).contains("ends in its header"));
}
