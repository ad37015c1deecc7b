//! Taking a recipe out of the Lunikernel that was built from it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use lunikernel_cache::artefact::{Artefact, FILES, LOCK, RECIPE};

use super::error::LockError;
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
    Ok(recipe)
}

fn write(artefact: &Artefact, name: &str, to: &Path, executable: bool) -> Result<(), LockError> {
    let failed = |source| LockError::Io {
        attempted: "take the recipe out of the Lunikernel",
        source,
    };
    let mut entry = artefact.entry(name)?;
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = fs::File::create_new(to).map_err(failed)?;
    io::copy(&mut entry, &mut file).map_err(failed)?;
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(to, PermissionsExt::from_mode(mode)).map_err(failed)
}
