//! The files of apk's own that say what is installed: so that `apk` in the booted system
//! knows what it has.

use std::collections::BTreeSet;
use std::io::{self, Read as _};

use lunikernel_cache::{BlobStore, Digest, Rootfs};

use super::{AlpineError, file_at, put};
use crate::assemble::apk::{Installed, Layers};
use crate::build::BuildError;
use crate::lock::LockedApks;
use crate::plan::SOURCE_DATE_EPOCH;
use crate::recipe::Arch;
use crate::source::apk::DATABASE;

/// The largest archive of scripts that is read, in bytes.
const MAX_SCRIPTS: u64 = 64 << 20;

/// The largest of the other files that is read, in bytes; locking reads as much.
const MAX_TEXT: u64 = 64 << 20;

/// What apk wrote in a base.
#[derive(Debug, Default)]
pub(super) struct Before {
    pub(super) installed: Installed,
    /// The scripts that it keeps, by their file names.
    pub(super) scripts: Vec<(String, Vec<u8>)>,
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
    let scripts = match file_at(root, &path) {
        None => Vec::new(),
        Some(digest) => unpack_scripts(blobs, &digest).map_err(|why| AlpineError::Database {
            path,
            why: why.to_string(),
        })?,
    };
    let world = text("etc/apk/world")?;
    Ok(Before {
        installed,
        scripts,
        triggers: triggers.collect(),
        world: world.split_ascii_whitespace().map(str::to_owned).collect(),
    })
}

fn unpack_scripts(blobs: &BlobStore, digest: &Digest) -> io::Result<Vec<(String, Vec<u8>)>> {
    let file = blobs.open(digest).map_err(io::Error::other)?;
    let mut scripts = Vec::new();
    for entry in tar::Archive::new(file.take(MAX_SCRIPTS)).entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        scripts.push((name, content));
    }
    Ok(scripts)
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
    let installed = layers.installed.render();
    file(&database("installed"), 0o644, installed.as_bytes())?;
    file(&database("lock"), 0o600, b"")?;
    let scripts = pack_scripts(before, layers, blobs)?;
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
    let wanted = apks.request.packages.iter().cloned();
    let world: BTreeSet<String> = before.world.iter().cloned().chain(wanted).collect();
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

/// The scripts of the base and of the packages, named as apk names them.
fn pack_scripts(
    before: &Before,
    layers: &Layers<'_>,
    blobs: &BlobStore,
) -> Result<Vec<u8>, BuildError> {
    let mut scripts = before.scripts.clone();
    for package in &layers.packages {
        let info = &package.info;
        for (script, digest) in &package.scripts {
            let name = format!(
                "{}-{}.{}{script}",
                info.name, info.version, package.checksum
            );
            scripts.push((name, blobs.read(digest)?));
        }
    }
    let pack = || -> io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, content) in &scripts {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o755);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(u64::from(SOURCE_DATE_EPOCH));
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, name, content.as_slice())?;
        }
        archive.into_inner()
    };
    pack().map_err(|error| {
        AlpineError::Database {
            path: format!("{DATABASE}/scripts.tar"),
            why: error.to_string(),
        }
        .into()
    })
}
