//! Images that mksquashfs makes.

use fs_err as fs;

use super::super::fuzz;
use super::super::tests::{comparable, sample, sample_tar, tool, unpacked};

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
