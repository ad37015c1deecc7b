//! The files of apk's own that say what is installed: so that `apk` in the booted system
//! knows what it has.

use std::collections::BTreeSet;

use lunikernel_cache::{BlobStore, Rootfs};

use super::kept::{self, Script};
use super::{AlpineError, file_at, put};
use crate::assemble::apk::{Installed, Layers, bare, displayed};
use crate::build::BuildError;
use crate::lock::LockedApks;
use crate::recipe::Arch;
use crate::source::apk::DATABASE;

/// The largest of the other files that is read, in bytes; locking reads as much.
const MAX_TEXT: u64 = 64 << 20;

/// What apk wrote in a base.
#[derive(Debug, Default)]
pub(super) struct Before {
    pub(super) installed: Installed,
    /// The scripts that it keeps.
    pub(super) scripts: Vec<Script>,
    /// Whose trigger is run when something changes in one of which folders.
    pub(super) triggers: Vec<(String, Vec<String>)>,
    pub(super) world: BTreeSet<String>,
}

/// Reads what apk wrote in a base; nothing where it never was there.
pub(super) fn read(root: &Rootfs, blobs: &BlobStore) -> Result<Before, BuildError> {
    let text = |path: &str| -> Result<String, BuildError> {
        let Some(digest) = file_at(root, path) else {
            return Ok(String::new());
        };
        if digest.size > MAX_TEXT {
            return Err(AlpineError::Database {
                path: path.to_owned(),
                why: format!("it has {} bytes, more than {MAX_TEXT}", digest.size),
            }
            .into());
        }
        String::from_utf8(blobs.read(&digest)?).map_err(|error| {
            AlpineError::Database {
                path: path.to_owned(),
                why: error.to_string(),
            }
            .into()
        })
    };
    let path = format!("{DATABASE}/installed");
    let installed = Installed::parse(&text(&path)?).map_err(|error| AlpineError::Database {
        path,
        why: error.to_string(),
    })?;
    let triggers = text(&format!("{DATABASE}/triggers"))?;
    let triggers = triggers.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace().map(str::to_owned);
        Some((words.next()?, words.collect()))
    });
    let path = format!("{DATABASE}/scripts.tar");
    let mut scripts = match file_at(root, &path) {
        None => Vec::new(),
        Some(digest) => {
            let read = kept::unpack(blobs.open(&digest)?);
            read.map_err(|why| AlpineError::Database {
                path,
                why: why.to_string(),
            })?
        }
    };
    kept::sort(&mut scripts, &installed);
    let world = text("etc/apk/world")?;
    Ok(Before {
        installed,
        scripts,
        triggers: triggers.collect(),
        world: world.split_ascii_whitespace().map(str::to_owned).collect(),
    })
}

/// What is wanted once the packages are there: what was wanted in the base, and what the
/// recipe names, which says more of a name that both have.
pub(super) fn world(before: &Before, apks: &LockedApks) -> BTreeSet<String> {
    let asked = &apks.request.packages;
    let names: BTreeSet<&str> = asked.iter().map(|word| bare(word)).collect();
    let others = before.world.iter();
    let others = others.filter(|word| !names.contains(bare(word)));
    others.chain(asked).cloned().collect()
}

/// Writes what apk would have written, had it installed the packages.
pub(super) fn write(
    root: &mut Rootfs,
    before: &Before,
    layers: &Layers<'_>,
    apks: &LockedApks,
    arch: Arch,
    blobs: &BlobStore,
) -> Result<(), BuildError> {
    let mut file = |path: &str, mode: u32, content: &[u8]| {
        let digest = blobs.put(content)?;
        put(root, path, mode, digest)
    };
    let database = |name: &str| format!("{DATABASE}/{name}");
    let installed = layers.installed.clone().sorted().render();
    file(&database("installed"), 0o644, installed.as_bytes())?;
    file(&database("lock"), 0o600, b"")?;
    let mut scripts = before.scripts.clone();
    for package in &layers.packages {
        scripts.extend(kept::of(package, |digest| blobs.read(digest))?);
    }
    let scripts = kept::pack(&scripts).map_err(|error| AlpineError::Database {
        path: database("scripts.tar"),
        why: error.to_string(),
    })?;
    file(&database("scripts.tar"), 0o644, &scripts)?;
    let old = before.triggers.iter().cloned();
    let new = layers
        .triggers()
        .into_iter()
        .map(|(checksum, folders)| (checksum.to_string(), folders.to_vec()));
    let triggers: String = old
        .chain(new)
        .map(|(checksum, folders)| format!("{checksum} {}\n", folders.join(" ")))
        .collect();
    file(&database("triggers"), 0o644, triggers.as_bytes())?;
    let mut world: Vec<String> = world(before, apks).into_iter().collect();
    world.sort_by(|a, b| displayed(bare(a)).cmp(&displayed(bare(b))));
    let world: String = world.into_iter().map(|word| word + "\n").collect();
    file("etc/apk/world", 0o644, world.as_bytes())?;
    file(
        "etc/apk/arch",
        0o644,
        format!("{}\n", arch.alpine()).as_bytes(),
    )?;
    if file_at(root, "etc/apk/repositories").is_none() {
        let lines = apks.request.repositories.iter();
        let lines: String = lines.map(|line| format!("{line}\n")).collect();
        let digest = blobs.put(lines.as_bytes())?;
        put(root, "etc/apk/repositories", 0o644, digest)?;
    }
    Ok(())
}
