use std::path::Path;

use super::solo5::{Device, DeviceKind, Target};
use super::*;

/// The seeds of the fuzz targets: small files, good ones and bad ones.
fn seed(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    fs_err::read(folder.join(name)).unwrap()
}

/// An artefact of somebody else's, by its SHA-256; `None` where it is not here.
fn upstream(what: &str, sha256: &str) -> Option<Vec<u8>> {
    let name = format!("{} with {what}", lunikernel_testing::this_test());
    let mirror = lunikernel_testing::artefacts(&name)?;
    Some(fs_err::read(mirror.join("sha256").join(sha256)).unwrap())
}

const TEST_HELLO: [(&str, &str, Target); 5] = [
    (
        "test_hello.hvt",
        "c8d2ed8626cff98de3f346df3d135d253b6c5385111978f09691764cd801ace8",
        Target::Hvt,
    ),
    (
        "test_hello.spt",
        "168f79f83ef3663e5e47c98d27ce09dbfa290d2c7338171d1948188003afc6d5",
        Target::Spt,
    ),
    (
        "test_hello.virtio",
        "41b7eaa36bb53766662d050fd9851985e33a04a3d2adf7706e4c106b89dbefe5",
        Target::Virtio,
    ),
    (
        "test_hello.xen",
        "1d8da8577d4baca614436ca2508569b9c34b643c716093219da9ecdb2c42ff3e",
        Target::Xen,
    ),
    (
        "test_hello.muen",
        "43db80bc8df2382b8cef05e391316f50eada95949fe452e8bc76488daaac0db3",
        Target::Muen,
    ),
];

#[test]
fn devices_have_their_names_and_kinds() {
    let image = solo5::read(&seed("solo5/good-devices")).unwrap();
    let device = |name: &str, kind| Device {
        name: name.to_owned(),
        kind,
    };
    assert_eq!(
        image.devices,
        [
            device("storage", DeviceKind::Block),
            device("service", DeviceKind::Net)
        ]
    );
    assert_eq!((image.target, image.abi_version), (Target::Hvt, 2));
}

#[test]
fn what_is_wrong_is_said() {
    let solo5 = |name: &str| solo5::read(&seed(&format!("solo5/bad-{name}"))).unwrap_err();
    let one = |name: &str| multiboot::read(&seed(&format!("multiboot/bad-{name}"))).unwrap_err();
    let two = |name: &str| multiboot2::read(&seed(&format!("multiboot2/bad-{name}"))).unwrap_err();
    let pvh = |name: &str| pvh::read(&seed(&format!("pvh/bad-{name}"))).unwrap_err();
    for (flaw, expected) in [
        (solo5("text"), "it does not begin as an ELF file does"),
        (
            solo5("no-manifest"),
            "it has no ELF note MFT1, which every unikernel for Solo5 has",
        ),
        (
            solo5("target"),
            "its ELF note ABI1 names target 7, expected hvt (1), spt (2), virtio (3), muen (4) or xen (6)",
        ),
        (solo5("target-twice"), "its ELF note ABI1 is there twice"),
        (
            solo5("manifest-version"),
            "its ELF note MFT1 has version 2, expected 1",
        ),
        (
            solo5("count"),
            "its ELF note MFT1 has 312 bytes for 4 entries, expected 416",
        ),
        (
            solo5("kind"),
            "its ELF note MFT1 has an entry 1 `storage` of the unknown kind 0x3",
        ),
        (
            solo5("name-twice"),
            "its ELF note MFT1 names the device `a` twice",
        ),
        (
            solo5("attached"),
            "its ELF note MFT1 has an entry 1 that is damaged",
        ),
        (
            solo5("segment"),
            "its ELF headers are damaged: program header 0 reaches beyond the end of the file",
        ),
        (
            solo5("entry"),
            "its ELF headers are damaged: its entry 0x300000 is in nothing that it loads",
        ),
        (
            one("lies"),
            "its multiboot header at byte 0 loads 65536 bytes from byte 0 on, and the file ends at byte 64",
        ),
        (
            one("flags"),
            "its multiboot header at byte 0 demands what no loader knows: flags 0x100",
        ),
        (
            one("entry"),
            "its multiboot header at byte 0 is entered at 0x100040, which is in nothing that it loads",
        ),
        (
            one("across-the-end"),
            "its multiboot header at byte 8164 reaches beyond the first 8192 bytes",
        ),
        (
            two("architecture"),
            "its multiboot 2 header at byte 120 is for architecture 4, expected 0",
        ),
        (
            two("tag-size"),
            "its multiboot 2 header at byte 120 has a tag of 4 bytes",
        ),
        (
            two("tag-huge"),
            "its multiboot 2 header at byte 120 has a tag of 4294967280 bytes",
        ),
        (
            two("unknown-tag"),
            "its multiboot 2 header at byte 0 demands what no loader knows: a tag of type 77",
        ),
        (
            two("no-entry"),
            "its multiboot 2 header at byte 0 says where it is loaded, and not where it is entered",
        ),
        (
            two("entry"),
            "its multiboot 2 header at byte 0 is entered at 0x200000, which is in nothing that it loads",
        ),
        (
            pvh("entry"),
            "its ELF note `Xen` 18 (the PVH entry) names the entry 0x100020, which is in nothing that it loads",
        ),
    ] {
        assert_eq!(flaw.to_string(), expected);
    }
    let suspect = multiboot::suspect(&seed("multiboot/bad-checksum")).unwrap();
    assert_eq!(
        suspect.to_string(),
        "its multiboot header at byte 0 has a wrong checksum"
    );
}

/// An ELF file with a multiboot 2 header at byte `at`, which has these tags (kind, flags,
/// value) and the last one.
fn two_at(at: usize, tags: &[(u16, u16, &[u8])]) -> Vec<u8> {
    // Its one segment is the 96 bytes behind these headers, loaded to 0x100000.
    let mut file = seed("multiboot2/good-elf")[..0x78].to_vec();
    file.resize(at, 0);
    let mut all = Vec::new();
    for (kind, flags, value) in tags.iter().chain(&[(0, 0, [].as_slice())]) {
        all.extend([kind.to_le_bytes(), flags.to_le_bytes()].concat());
        all.extend((8 + value.len() as u32).to_le_bytes());
        all.extend(*value);
        all.resize(all.len().next_multiple_of(8), 0);
    }
    let (magic, length) = (0xe852_50d6_u32, 16 + all.len() as u32);
    let checksum = magic.wrapping_add(length).wrapping_neg();
    let numbers = [magic, 0, length, checksum];
    file.extend(numbers.iter().flat_map(|it| it.to_le_bytes()));
    file.extend(all);
    file.resize(file.len().max(0xd8), 0);
    file
}

#[test]
fn a_header_of_multiboot_2_is_held_to_what_its_loaders_do() {
    let entry = |address: u32| {
        let file = two_at(0x78, &[(3, 0, &address.to_le_bytes())]);
        multiboot2::read(&file)
    };
    assert!(entry(0x10_0000).is_ok() && entry(0x10_005f).is_ok());
    let flaw = entry(0x10_0060).unwrap_err().to_string();
    assert!(
        flaw.contains("entered at 0x100060, which is in nothing"),
        "{flaw}"
    );
    // Relocation is the last that they know; without what is optional they get along.
    let tagged = |kind, flags| multiboot2::read(&two_at(0x78, &[(kind, flags, &[0; 16])]));
    assert!(tagged(10, 0).is_ok() && tagged(11, 1).is_ok());
    let flaw = tagged(11, 0).unwrap_err().to_string();
    assert!(flaw.ends_with("a tag of type 11"), "{flaw}");
    // All of it is in the first 32768 bytes.
    assert!(multiboot2::read(&two_at(32768 - 24, &[])).is_ok());
    let flaw = multiboot2::read(&two_at(32768 - 16, &[]))
        .unwrap_err()
        .to_string();
    assert!(
        flaw.ends_with("reaches beyond the first 32768 bytes"),
        "{flaw}"
    );
}

#[test]
fn the_test_program_of_solo5_is_known_in_every_target() {
    for (file, sha256, target) in TEST_HELLO {
        let Some(bytes) = upstream(file, sha256) else {
            return;
        };
        let image = solo5::read(&bytes).unwrap();
        assert_eq!((image.target, image.devices), (target, vec![]), "{file}");
        assert_eq!(pvh::read(&bytes).unwrap().is_some(), target == Target::Xen);
    }
}

#[test]
fn a_header_that_counts_on_zeros_behind_the_file_is_understood() {
    let (file, sha256, _) = TEST_HELLO[2];
    let Some(bytes) = upstream(file, sha256) else {
        return;
    };
    let image = multiboot::read(&bytes).unwrap().unwrap();
    assert_eq!((image.size, image.missing), (65536, 2768));
    assert_eq!(image.notes().len(), 1);
    // What has lost more than the zeros of its last page is cut off.
    let cut = &bytes[..bytes.len() - 2000];
    let flaw = multiboot::read(cut).unwrap_err();
    assert_eq!(
        flaw.to_string(),
        "its multiboot header at byte 4128 loads 61440 bytes from byte 4096 on, and the file ends at byte 60768"
    );
}

/// Where the notes are in `test_hello.spt`, by what `readelf -n` says.
const NOTES: std::ops::Range<usize> = 0x4000..0x40ac;
/// What fills their owners' names up to four bytes.
const PADDING: [usize; 4] = [0x4012, 0x4013, 0x409a, 0x409b];

#[test]
fn no_flipped_bit_of_a_note_goes_unnoticed() {
    let (file, sha256, _) = TEST_HELLO[1];
    let Some(good) = upstream(file, sha256) else {
        return;
    };
    let mut others = 0;
    for at in NOTES.filter(|at| !PADDING.contains(at)) {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            if let Ok(image) = solo5::read(&bytes) {
                assert_ne!(Ok(image), solo5::read(&good), "bit {bit} of byte {at:#x}");
                others += 1;
            }
        }
    }
    // Another target (virtio, xen) or version of its interface is as good as this one.
    assert_eq!(others, 11);
}
