//! Images as QEMU reads them.

use std::path::Path;

use lunikernel_exporters::qcow2::Clusters;
use lunikernel_exporters::{Content, Disk, Output, WriteError, qcow2, raw, vdi, vhd, vhdx, vmdk};

use crate::sample::{disk, identity};
use crate::tools::{make, need, room, run};

/// Each format: its name here, QEMU's name for it, whether `qemu-img check` knows it, and
/// how it is written.
type Format = (
    &'static str,
    &'static str,
    bool,
    fn(&Disk, &mut Output) -> Result<(), WriteError>,
);

const FORMATS: [Format; 8] = [
    ("raw", "raw", false, |disk, out| raw::write(disk, out)),
    ("qcow2", "qcow2", true, |disk, out| {
        qcow2::write(disk, Clusters::Plain, out)
    }),
    ("qcow2-compressed", "qcow2", true, |disk, out| {
        qcow2::write(disk, Clusters::Compressed, out)
    }),
    ("vmdk", "vmdk", true, |disk, out| {
        vmdk::write(disk, &identity(), out)
    }),
    ("vhd-fixed", "vpc", false, |disk, out| {
        vhd::write_fixed(disk, &identity(), out)
    }),
    ("vhd-dynamic", "vpc", false, |disk, out| {
        vhd::write_dynamic(disk, &identity(), out)
    }),
    ("vdi", "vdi", true, |disk, out| {
        vdi::write(disk, &identity(), out)
    }),
    ("vhdx", "vhdx", true, |disk, out| {
        vhdx::write(disk, &identity(), out)
    }),
];

fn judge(qemu: &Path, disk: &Disk, folder: &Path, formats: &[Format]) {
    let reference = folder.join("reference");
    make(&reference, |out| raw::write(disk, out));
    for (name, format, checked, write) in formats {
        let image = folder.join(name);
        make(&image, |out| write(disk, out));
        if *checked {
            let said = run(
                qemu,
                [
                    "check".as_ref(),
                    "-f".as_ref(),
                    format.as_ref(),
                    image.as_os_str(),
                ],
            );
            assert!(said.contains("No errors were found"), "{name}: {said}");
        }
        let mut compare = vec!["compare", "-f", format, "-F", "raw"];
        let paths = [image.to_str().unwrap(), reference.to_str().unwrap()];
        compare.extend(paths);
        let said = run(qemu, compare);
        assert!(said.contains("identical"), "{name}: {said}");
    }
}

#[test]
fn qemu_sees_the_same_disk_in_every_format() {
    let Some(qemu) = need("qemu-img") else { return };
    let folder = tempfile::tempdir().unwrap();
    for (seed, sectors, extents) in [
        (1, 1, 0),
        (2, 100, 3),
        (3, 2048, 5),
        (4, 131_072, 20),
        // Just over what one table is for, in VMDK and in qcow2, and an odd number.
        (5, 65_537, 30),
        (6, 1_048_577, 40),
        (7, 299_999, 60),
        (8, 200_000, 400),
    ] {
        judge(
            &qemu,
            &disk(seed, sectors * 512, extents),
            folder.path(),
            &FORMATS,
        );
    }
}

/// VHDX has an entry of another kind in its table behind every 4 GiB.
#[test]
fn qemu_sees_the_same_disk_beyond_four_gibibytes_of_vhdx() {
    let Some(qemu) = need("qemu-img") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (edge, size) = (4 << 30, (4 << 30) + (5 << 20));
    let mut large = Disk::new(size).unwrap();
    for at in [0, edge - 1000, edge + (2 << 20) + 5, size - 7] {
        large
            .put(at, Content::bytes([1, 2, 3, 4, 5, 6, 7]))
            .unwrap();
    }
    let formats: Vec<Format> = (FORMATS.into_iter())
        .filter(|(name, ..)| *name == "vhdx")
        .collect();
    judge(&qemu, &large, folder.path(), &formats);
}

#[test]
fn a_disk_of_three_tebibytes_costs_what_its_content_does() {
    let Some(qemu) = need("qemu-img") else { return };
    let folder = tempfile::tempdir().unwrap();
    let large = disk(9, 3 << 40, 30);
    let formats: Vec<Format> = FORMATS
        .into_iter()
        // QEMU does not know where VHDX has holes, and would read 3 TiB of zeros.
        .filter(|(name, ..)| matches!(*name, "raw" | "qcow2" | "qcow2-compressed" | "vdi"))
        .collect();
    judge(&qemu, &large, folder.path(), &formats);
    let vhdx = folder.path().join("vhdx");
    make(&vhdx, |out| vhdx::write(&large, &identity(), out));
    run(&qemu, ["check", "-f", "vhdx", vhdx.to_str().unwrap()]);
    let most = large.content_len() * 2 + (16 << 20);
    for name in ["reference", "qcow2", "qcow2-compressed", "vhdx", "vdi"] {
        let room = room(&folder.path().join(name));
        // VDI's map is an array over the whole disk.
        let map = if name == "vdi" { 13 << 20 } else { 0 };
        assert!(room < most + map, "{name} takes {room} bytes");
    }
}

#[test]
fn the_size_that_readers_see_is_exact() {
    let Some(qemu) = need("qemu-img") else { return };
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    // No whole number of cylinders, which VHD would have.
    let disk = disk(10, (64 << 20) + 512, 3);
    for (name, format, _, write) in FORMATS {
        make(&image, |out| write(&disk, out));
        let info = run(
            &qemu,
            [
                "info",
                "--output=json",
                "-f",
                format,
                image.to_str().unwrap(),
            ],
        );
        let info: serde_json::Value = serde_json::from_str(&info).unwrap();
        assert_eq!(info["virtual-size"], disk.size(), "{name}");
        assert_eq!(info["format"], format, "{name}");
    }
}

#[test]
fn sizes_that_a_format_does_not_have_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let most = |name| match name {
        "vmdk" => 2000 << 30,
        "vhd-fixed" | "vhd-dynamic" => 2040 << 30,
        "vdi" => 16 << 40,
        "vhdx" => 64 << 40,
        _ => 2 << 50,
    };
    for (name, _, _, write) in FORMATS.into_iter().filter(|(name, ..)| *name != "raw") {
        for size in [511, 513, most(name) + 512] {
            let mut output = Output::create(&path, lunikernel_exporters::Existing::Refuse).unwrap();
            let refused = write(&Disk::new(size).unwrap(), &mut output).unwrap_err();
            assert!(
                matches!(refused, WriteError::Size { .. }),
                "{name} {size}: {refused}"
            );
            assert!(refused.hint().is_some());
            assert!(output.is_empty(), "{name} {size}");
        }
    }
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_disk_without_bytes_is_one_too() {
    let Some(qemu) = need("qemu-img") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    for (name, format, _, write) in FORMATS {
        let mut output = Output::create(&path, lunikernel_exporters::Existing::Replace).unwrap();
        match write(&Disk::new(0).unwrap(), &mut output) {
            // What QEMU does not take for an image then.
            Err(refused) => {
                let expected = ["vmdk", "vhd-fixed", "vhd-dynamic", "vhdx"];
                assert!(expected.contains(&name), "{name}: {refused}");
            }
            Ok(()) => {
                output.commit().unwrap();
                run(&qemu, ["info", "-f", format, path.to_str().unwrap()]);
            }
        }
    }
}
