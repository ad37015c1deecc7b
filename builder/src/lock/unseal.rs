//! Taking a recipe out of the Lunikernel that was built from it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use lunikernel_cache::artefact::{Artefact, FILES, LOCK, RECIPE};

use super::error::LockError;
use super::links::Links;
use crate::overlay::HISTORY;
use crate::recipe::FILE_NAME;

/// Writes the recipe, its lock and its own files into `folder`, laid out as their author
/// had them, and says where the recipe is. Every byte is checked on the way.
///
/// # Errors
/// [`LockError::Artefact`] where the artefact has no recipe or is damaged,
/// [`LockError::Overlaid`] where its recipe does not make it.
pub fn unseal(artefact: &Artefact, folder: &Path) -> Result<PathBuf, LockError> {
    if artefact.manifest().entries.contains_key(HISTORY) {
        return Err(LockError::Overlaid {
            artefact: artefact.label().to_owned(),
        });
    }
    let recipe = folder.join(FILE_NAME);
    write(artefact, RECIPE, &recipe, false)?;
    write(artefact, LOCK, &folder.join("recipe.lock"), false)?;
    for (name, entry) in &artefact.manifest().entries {
        // The reader has refused every name that leads anywhere else.
        if let Some(path) = name.strip_prefix(FILES) {
            write(artefact, name, &folder.join(path), entry.executable)?;
        }
    }
    // Last, so that nothing is written through one.
    for (path, target) in Links::of(artefact)? {
        let link = folder.join(path);
        if let Some(above) = link.parent() {
            fs::create_dir_all(above).map_err(failed)?;
        }
        fs::os::unix::fs::symlink(target, link).map_err(failed)?;
    }
    Ok(recipe)
}

fn failed(source: io::Error) -> LockError {
    LockError::Io {
        attempted: "take the recipe out of the Lunikernel",
        source,
    }
}

fn write(artefact: &Artefact, name: &str, to: &Path, executable: bool) -> Result<(), LockError> {
    let mut entry = artefact.entry(name)?;
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = fs::File::create_new(to).map_err(failed)?;
    io::copy(&mut entry, &mut file).map_err(failed)?;
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(to, PermissionsExt::from_mode(mode)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use lunikernel_cache::artefact::{
        Boot, EntrySource, INITRAMFS, KERNEL, Manifest, Protocol, seal,
    };
    use lunikernel_cache::{Cache, Digest, Silent};

    use super::*;
    use crate::lock::LINKS;

    /// What becomes of a zip with two files and this list of links.
    fn unsealed(links: &str) -> Result<tempfile::TempDir, LockError> {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path()).unwrap();
        let blobs = cache.blobs();
        let put = |name: &str, bytes: &[u8]| {
            EntrySource::of_blob(blobs, name, blobs.put(bytes).unwrap()).unwrap()
        };
        let entries = [
            put(KERNEL, b"kernel"),
            put(INITRAMFS, b"\x1f\x8b\x08"),
            put(RECIPE, b"recipe"),
            put(LOCK, b"lock"),
            put("files/d/one", b"one"),
            put("files/d/e/two", b"two"),
            put(LINKS, links.as_bytes()),
        ];
        let boot = Boot {
            protocol: Protocol::Linux,
            cmdline: String::new(),
            min_memory_mib: 64,
        };
        let manifest = Manifest {
            recipe: Some(Digest::of(b"recipe")),
            lock: Some(Digest::of(b"lock")),
            ..Manifest::new("x", "1", "debian", "x86_64", boot)
        };
        let sealed = seal(blobs, manifest, &entries, &Silent).unwrap();
        let artefact = Artefact::open(&blobs.path(&sealed.digest.sha256)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        unseal(&artefact, folder.path()).map(|_| folder)
    }

    fn list(links: &str) -> String {
        format!("{{\"format\":\"lunikernel-links/1\",\"links\":{{{links}}}}}")
    }

    #[test]
    fn links_come_back() {
        let folder = unsealed(&list("\"d/e/up\":\"../one\",\"other/x\":\"../d\"")).unwrap();
        let read = |path: &str| fs::read(folder.path().join(path)).unwrap();
        assert_eq!(read("d/e/up"), b"one");
        assert_eq!(read("other/x/e/two"), b"two");
    }

    #[test]
    fn a_list_that_leads_elsewhere_is_refused() {
        for (links, why) in [
            ("\"d/x\":\"/etc\"", "leads out"),
            ("\"d/x\":\"../../etc\"", "leads out"),
            ("\"d/x\":\"\"", "leads out"),
            ("\"../x\":\"d\"", "cannot be the name"),
            ("\"d/e\":\"..\"", "would be in the link `d/e`"),
            ("\"a\":\"d\",\"a/b\":\"c\"", "would be in the link `a`"),
            ("\"d/one\":\"e\"", "is a file as well"),
            ("\"b\":\"d\",\"a\":\"d\"", "canonical"),
            ("", "lists nothing"),
        ] {
            let error = unsealed(&list(links)).unwrap_err().to_string();
            assert!(error.contains(why), "{links}: {error}");
        }
        let error = unsealed("{}").unwrap_err();
        assert!(matches!(error, LockError::Links { .. }), "{error}");
        // Not even the recipe is written over.
        let error = unsealed(&list("\"recipe.yaml\":\"d\""));
        assert!(matches!(error, Err(LockError::Io { .. })), "{error:?}");
    }
}
