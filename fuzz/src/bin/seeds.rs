//! Writes those seeds that are made by our own code; run it after a format changed.

use std::path::Path;

use fs_err as fs;
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Digest, Tree, reapi};
use prost::Message as _;

fn main() -> std::io::Result<()> {
    let seed = |target: &str, name: &str, bytes: &[u8]| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("seeds")
            .join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)
    };
    let digest = Digest::of(b"content");
    seed("digest", "prefixed", digest.sha256.to_string().as_bytes())?;
    seed("digest", "bare", digest.sha256.hex().as_bytes())?;
    seed(
        "digest",
        "upper",
        digest.sha256.hex().to_uppercase().as_bytes(),
    )?;

    let mut tree = Tree::new();
    let file = |executable| Entry::File { digest, executable };
    let target = "../lib".to_owned();
    for (path, entry) in [
        ("bin/sh", file(true)),
        ("etc/deep/er/motd", file(false)),
        ("lib64", Entry::Symlink { target }),
    ] {
        tree.insert(path, entry).map_err(std::io::Error::other)?;
    }
    seed("tree", "nested", &tree.to_reapi().encode_to_vec())?;
    seed("tree", "empty", &Tree::new().to_reapi().encode_to_vec())?;

    let result = reapi::ActionResult {
        output_files: vec![reapi::OutputFile {
            path: "out".to_owned(),
            digest: Some(digest.to_reapi()),
            is_executable: true,
            ..Default::default()
        }],
        output_directories: vec![reapi::OutputDirectory {
            path: "folder".to_owned(),
            tree_digest: Some(digest.to_reapi()),
            ..Default::default()
        }],
        exit_code: 1,
        stdout_digest: Some(digest.to_reapi()),
        ..Default::default()
    };
    seed("action_cache_entry", "failed", &result.encode_to_vec())?;
    seed("action_cache_entry", "empty", &[])
}
