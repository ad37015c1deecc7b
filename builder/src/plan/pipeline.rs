//! Actions that `luni` carries out itself. They are written down like any other so
//! that one action cache, local or remote, remembers them all.

use std::collections::{BTreeMap, BTreeSet};

use lunikernel_cache::tree::{Entry, TreeError};
use lunikernel_cache::{Digest, Tree};

use super::invocation::Invocation;
use super::platform::Platform;

/// The version of how inputs become an artefact. It is part of the key of what
/// `luni` makes itself, so it must move whenever the same inputs give other bits.
pub const PIPELINE: &str = "lunikernel-build/5";

/// Unpacking one package; the result is its metadata as JSON, under [`UNPACKED`].
#[must_use]
pub fn unpack_action(package: &Digest) -> Invocation {
    let mut input_root = Tree::new();
    // A single valid name cannot be refused.
    let _ = input_root.insert("package.deb", file(package));
    internal("unpack-deb", UNPACKED, input_root)
}

/// Unpacking one package of Alpine, which is held to what it should be: its name, its
/// version and its checksum; the result is its metadata as JSON, under [`UNPACKED`].
#[must_use]
pub fn unpack_apk_action(package: &Digest, expected: [String; 3]) -> Invocation {
    let mut input_root = Tree::new();
    // A single valid name cannot be refused.
    let _ = input_root.insert("package.apk", file(package));
    let mut action = internal("unpack-apk", UNPACKED, input_root);
    action.arguments.extend(expected);
    action
}

/// Unpacking one archive; the result is its metadata as JSON, under [`UNPACKED`].
#[must_use]
pub fn unpack_archive_action(archive: &Digest) -> Invocation {
    let mut input_root = Tree::new();
    // A single valid name cannot be refused.
    let _ = input_root.insert("archive", file(archive));
    internal("unpack-archive", UNPACKED, input_root)
}

/// Unpacking one layer of a container image, packed as `media_type` says; the result is
/// what is in it as JSON, under [`UNPACKED`].
#[must_use]
pub fn unpack_layer_action(layer: &Digest, media_type: &str) -> Invocation {
    let mut input_root = Tree::new();
    // A single valid name cannot be refused.
    let _ = input_root.insert("layer", file(layer));
    let mut action = internal("unpack-layer", UNPACKED, input_root);
    action.arguments.push(media_type.to_owned());
    action
}

/// Where an unpacked package's or archive's metadata is among the outputs.
pub const UNPACKED: &str = "rootfs.json";

/// A whole build: recipe, lock and the recipe's own files give one artefact.
///
/// # Errors
/// [`TreeError`] where the path of one of the recipe's files cannot be.
pub fn artefact_action(
    output: &str,
    recipe: &Digest,
    lock: &Digest,
    files: &BTreeMap<String, Entry>,
) -> Result<Invocation, TreeError> {
    let mut input_root = Tree::new();
    input_root.insert("recipe.yaml", file(recipe))?;
    input_root.insert("recipe.lock", file(lock))?;
    for (path, entry) in files {
        input_root.insert(&format!("files/{path}"), entry.clone())?;
    }
    Ok(internal("build", output, input_root))
}

/// That the step called `step` of the recipe with that text ran with the network; the
/// result is the digest of its action as JSON, under the step's name.
#[must_use]
pub fn last_run_action(recipe: &Digest, step: &str) -> Invocation {
    let mut input_root = Tree::new();
    // A single valid name cannot be refused.
    let _ = input_root.insert("recipe.yaml", file(recipe));
    internal("run-step", step, input_root)
}

fn internal(verb: &str, output: &str, input_root: Tree) -> Invocation {
    Invocation {
        arguments: vec!["luni".to_owned(), verb.to_owned()],
        environment: BTreeMap::from([
            ("LUNI_PIPELINE".to_owned(), PIPELINE.to_owned()),
            // A cache may be shared by several versions of this program.
            (
                "LUNI_VERSION".to_owned(),
                env!("CARGO_PKG_VERSION").to_owned(),
            ),
        ]),
        working_directory: String::new(),
        outputs: BTreeSet::from([output.to_owned()]),
        platform: Platform::default(),
        timeout_seconds: 0,
        input_root,
    }
}

fn file(digest: &Digest) -> Entry {
    Entry::File {
        digest: *digest,
        executable: false,
    }
}
