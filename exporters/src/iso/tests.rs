use super::*;

fn volume(files: &[(&str, Content)]) -> Volume {
    let files = files.iter();
    Volume {
        label: "a disc, 2".to_owned(),
        files: files
            .map(|(path, it)| ((*path).to_owned(), it.clone()))
            .collect(),
        ..Volume::default()
    }
}

/// So many bytes, which nobody reads.
fn huge(len: u64) -> Content {
    Content::new(std::sync::Arc::new(Vec::new()), 0, len)
}

#[test]
fn paths_that_cannot_be_on_a_disc_are_refused() {
    let long = "n".repeat(31);
    for path in [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "a/..",
        "a b",
        "ü",
        "a;1",
        "a\nb",
        &long,
        "1/2/3/4/5/6/7/8/9",
    ] {
        let refused = volume(&[(path, Content::bytes(*b"x"))]).write();
        assert!(matches!(refused, Err(IsoError::Path { .. })), "{path:?}");
    }
    for (one, two) in [
        ("a", "a"),
        ("a", "A"),
        ("a-b.c", "a_b.c"),
        ("a", "a/b"),
        ("a/b", "a"),
        ("a/b", "A/c"),
        ("a.", "a"),
        ("x/a.", "x/a/b"),
    ] {
        let both = [(one, Content::bytes([])), (two, Content::bytes([]))];
        let refused = volume(&both).write();
        assert!(
            matches!(refused, Err(IsoError::Twice { .. })),
            "{one} {two}"
        );
    }
    let name = "n".repeat(30);
    let sound = [
        ("1/2/3/4/5/6/7/8", Content::bytes([])),
        (&name, Content::bytes([])),
    ];
    assert!(volume(&sound).write().is_ok());
}

#[test]
fn what_is_too_large_is_refused() {
    let most = u64::from(u32::MAX);
    assert!(volume(&[("file", huge(most))]).write().is_ok());
    let refused = volume(&[("file", huge(most + 1))]).write().unwrap_err();
    assert!(matches!(refused, IsoError::FileTooLarge { .. }));
    let mut many = volume(&[]);
    many.files = (0..2048).map(|it| (it.to_string(), huge(most))).collect();
    let refused = many.write().unwrap_err();
    assert!(matches!(refused, IsoError::Disk(DiskError::TooLarge(_))));
    many.files.truncate(2047);
    assert!(many.write().is_ok());
}

#[test]
fn what_uefi_starts_from_is_last_and_what_a_bios_starts_is_in_its_place() {
    let mut volume = volume(&[("zz/file", Content::bytes([1; 3000]))]);
    volume.bios = Some(("zz/bios".to_owned(), Content::bytes([2; 5000])));
    volume.efi = Some(("an.img".to_owned(), 70_000));
    volume.free_at_end = 5000;
    let Written { disk, efi } = volume.write().unwrap();
    let efi = efi.unwrap();
    assert_eq!(disk.size(), efi + 35 * BLOCK + 3 * BLOCK);
    assert!(disk.occupied(1).all(|it| it.start >= FREE && it.end <= efi));
    let block = |number: u64| {
        let mut bytes = [0; BLOCK as usize];
        disk.read_at(&mut bytes, number * BLOCK).unwrap();
        bytes
    };
    assert_eq!(block(BIOS_BLOCK.into()), [2; 2048]);
    let primary = block(16);
    assert_eq!(primary[..7], *b"\x01CD001\x01");
    assert_eq!(primary[40..51], *b"A_DISC__2  ");
    let blocks = (disk.size() / BLOCK) as u32;
    assert_eq!(primary[80..84], blocks.to_le_bytes());
    assert_eq!(primary[84..88], blocks.to_be_bytes());
    // Both path tables say the same: the root, then the only folder in it.
    let [little, big] = [140..144, 148..152].map(|at| *primary[at].first_chunk().unwrap());
    let [little, big] = [u32::from_le_bytes(little), u32::from_be_bytes(big)];
    let [root, inner] = [big + 1, big + 2].map(u32::to_be_bytes);
    let table = [
        &[1, 0][..],
        &root,
        &[0, 1, 0, 0],
        &[2, 0],
        &inner,
        &[0, 1],
        b"ZZ",
    ];
    assert!(block(big.into()).starts_with(&table.concat()));
    let [root, inner] = [root, inner].map(|[a, b, c, d]| [d, c, b, a]);
    let table = [
        &[1, 0][..],
        &root,
        &[1, 0, 0, 0],
        &[2, 0],
        &inner,
        &[1, 0],
        b"ZZ",
    ];
    assert!(block(little.into()).starts_with(&table.concat()));
    let record = block(17);
    assert_eq!(record[0x47..0x4b], 19u32.to_le_bytes());
    let catalogue = block(19);
    let words = catalogue[..32]
        .chunks(2)
        .map(|it| u16::from(it[0]) | u16::from(it[1]) << 8);
    assert_eq!(words.fold(0, u16::wrapping_add), 0);
    assert_eq!(catalogue[32..44], [0x88, 0, 0, 0, 0, 0, 4, 0, 20, 0, 0, 0]);
    assert_eq!(catalogue[64..68], [0x91, 0xef, 1, 0]);
    assert_eq!(catalogue[96..104], [0x88, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(catalogue[104..108], ((efi / BLOCK) as u32).to_le_bytes());

    // One of both is the first entry, and there is no other.
    let of = |bios: bool| {
        let mut one = volume.clone();
        match bios {
            true => one.efi = None,
            false => one.bios = None,
        }
        let mut bytes = [0; BLOCK as usize];
        let disk = one.write().unwrap().disk;
        disk.read_at(&mut bytes, 19 * BLOCK).unwrap();
        assert!(bytes[64..].iter().all(|byte| *byte == 0));
        (bytes[1], bytes[32], bytes[38])
    };
    assert_eq!(of(true), (0, 0x88, 4));
    assert_eq!(of(false), (0xef, 0x88, 0));
}
