//! Images that mksquashfs makes.

use fs_err as fs;

use super::super::fuzz;
use super::super::tests::{comparable, sample, sample_tar, tool, unpacked};
use super::blocks::Image;

/// Packs [`sample_tar`] with these options; `None` where the tool is missing.
fn packed(options: &[&str]) -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().unwrap();
    // `-e` would take what follows for paths to leave out.
    let arguments = [&["image", "-quiet", "-no-progress"], options].concat();
    tool(folder.path(), "sqfstar", &arguments, &sample_tar()).then_some(folder)
}

#[test]
fn squashfs_comes_with_everything_in_each_compression() {
    for options in [
        &["-comp", "gzip"][..],
        &["-comp", "xz", "-b", "1M"],
        &["-comp", "zstd", "-b", "4096"],
        &["-noI", "-noD", "-noF", "-noX"],
        &["-no-fragments", "-b", "8192"],
        &["-always-use-fragments"],
    ] {
        let Some(folder) = packed(options) else {
            return;
        };
        let root = unpacked(&folder.path().join("image"));
        assert_eq!(
            comparable(&root, true),
            comparable(&sample(), true),
            "{options:?}"
        );
    }
}

/// Many files in one folder: several headers, several blocks of metadata.
#[test]
fn large_folders_and_sparse_files_come_whole() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    fs::create_dir(&files).unwrap();
    for number in 0..3000 {
        fs::write(
            files.join(format!("file-{number:05}-{}", "x".repeat(90))),
            format!("{number}"),
        )
        .unwrap();
    }
    let sparse = fs::File::create(files.join("sparse")).unwrap();
    sparse.set_len(3_000_001).unwrap();
    let arguments = ["files", "image", "-quiet", "-no-progress", "-all-root"];
    if !tool(folder.path(), "mksquashfs", &arguments, b"") {
        return;
    }
    let root = unpacked(&folder.path().join("image"));
    assert_eq!(root.nodes().len(), 3001);
    for (path, node) in root.nodes() {
        let own = fs::read(files.join(path)).unwrap();
        let content = match &node.kind {
            lunikernel_cache::NodeKind::File { content, .. } => *content,
            other => panic!("{path} is {}", other.describe()),
        };
        assert_eq!(content, lunikernel_cache::Digest::of(&own), "{path}");
    }
}

#[test]
fn every_cut_and_every_flipped_bit_ends_well() {
    let Some(folder) = packed(&["-comp", "gzip", "-b", "4096"]) else {
        return;
    };
    let image = fs::read(folder.path().join("image")).unwrap();
    // Behind what the superblock counts is padding.
    let used = u64::from_le_bytes(*image[40..].first_chunk().unwrap()) as usize;
    for cut in (0..used).step_by(used / 100 + 1) {
        let cut = image.get(..cut).unwrap();
        assert!(!matches!(fuzz(cut), Ok(Some(_))), "{} bytes", cut.len());
    }
    let mut flipped = image.clone();
    for at in (0..96).chain((96..image.len()).step_by(1999)) {
        flipped[at] ^= 0x10;
        // Some bits are of time stamps; what counts is that it ends.
        let _ = fuzz(&flipped);
        flipped[at] ^= 0x10;
    }
    let mut lzo = image;
    lzo[20] = 3;
    let error = fuzz(&lzo).unwrap_err().to_string();
    assert!(
        error.contains("expected the compressor gzip, xz or zstd, found lzo"),
        "{error}"
    );
}

/// A name of any length would be kept for each of thousands of attributes.
#[test]
fn names_of_attributes_are_bounded() {
    let read = |size| fuzz(&with_attribute(size));
    let root = read(250).unwrap().unwrap();
    assert_eq!(root.get("f").unwrap().xattrs.len(), 1);
    let error = read(251).unwrap_err().to_string();
    assert!(
        error.contains("expected a name of at most 255 bytes, found 256 bytes"),
        "{error}"
    );
}

/// An image with one file, `f`, that has an attribute of `user` with a name of `size`
/// bytes.
fn with_attribute(size: u16) -> Vec<u8> {
    let short = |numbers: &[u16]| -> Vec<u8> {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
        bytes.collect()
    };
    let word = |numbers: &[u32]| -> Vec<u8> {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
        bytes.collect()
    };
    let long = |numbers: &[u64]| -> Vec<u8> {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
        bytes.collect()
    };
    let file = [
        short(&[9, 0o644, 0, 0]),
        word(&[0, 1]),
        long(&[0, 0, 0]),
        word(&[1, u32::MAX, 0, 0]),
    ]
    .concat();
    let entry = [word(&[0, 0, 1]), short(&[0, 0, 2, 0]), b"f".to_vec()].concat();
    let root = [
        short(&[1, 0o755, 0, 0]),
        word(&[0, 2, 0, 2]),
        short(&[entry.len() as u16 + 3, 0]),
        word(&[0]),
    ]
    .concat();
    let name = vec![b'a'; size.into()];
    let attribute = [short(&[0, size]), name, word(&[0])].concat();

    let mut image = vec![0; 96];
    let mut put = |bytes: &[u8], stored: bool| {
        let at = image.len() as u64;
        if stored {
            image.extend(short(&[bytes.len() as u16 | 1 << 15]));
        }
        image.extend(bytes);
        at
    };
    let inodes = put(&[&file[..], &root].concat(), true);
    let folders = put(&entry, true);
    let owners = put(&word(&[0]), true);
    let owners = put(&long(&[owners]), false);
    let attributes = put(&attribute, true);
    let index = put(&[long(&[0]), word(&[1, 64])].concat(), true);
    let table = [long(&[attributes]), word(&[1, 0]), long(&[index])].concat();
    let table = put(&table, false);
    let end = image.len() as u64;
    let head = [
        b"hsqs".to_vec(),
        word(&[2, 0, 4096, 0]),
        short(&[1, 12, 0, 1, 4, 0]),
        long(&[file.len() as u64, end, owners, table, inodes, folders]),
        long(&[u64::MAX, u64::MAX]),
    ]
    .concat();
    image[..96].copy_from_slice(&head);
    image
}

#[test]
fn blocks_that_are_stored_as_they_are_count_too() {
    let mut image = vec![0; 96 + 4096];
    image[13] = 4096u16.to_le_bytes()[1];
    (image[20], image[22], image[28]) = (1, 12, 4);
    let mut image = Image::open(std::io::Cursor::new(image), 10_000).unwrap();
    let mut block = || image.block(96, 1 << 24 | 4096, "a block");
    assert_eq!(block().unwrap().len(), 4096);
    assert_eq!(block().unwrap().len(), 4096);
    let error = block().unwrap_err().to_string();
    assert!(error.contains("read too often"), "{error}");
}
