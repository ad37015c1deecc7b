//! Which paths members may have.

pub use lunikernel_cache::checkout::MAX_PATH;
use lunikernel_cache::rootfs;

use super::error::{MemberError, shown};

/// The longest name of one file that Linux takes (NAME_MAX), in bytes.
pub const MAX_NAME: usize = 255;

/// The path below the root that a member's name stands for; empty for the root.
pub(crate) fn check_path(name: &str, folder: bool) -> Result<String, String> {
    let name = match name.strip_suffix('/') {
        Some(name) if folder => name,
        _ => name,
    };
    if folder && (name.is_empty() || name == ".") {
        return Ok(String::new());
    }
    if name.starts_with('/') {
        return Err("its path is absolute".to_owned());
    }
    if name.len() > MAX_PATH {
        return Err(format!("its path is longer than {MAX_PATH} bytes"));
    }
    for part in name.split('/') {
        if part.len() > MAX_NAME {
            return Err(format!(
                "a part of its path is longer than {MAX_NAME} bytes"
            ));
        }
        if part == ".." {
            return Err("its path has `..` in it".to_owned());
        }
        if part.is_empty() || part == "." || part.contains('\0') {
            return Err("its path has an empty part, a `.` or a NUL in it".to_owned());
        }
    }
    Ok(name.to_owned())
}

/// The path of `name` in the folder `folder`, in formats that have a list of names for
/// each folder.
pub(crate) fn join(folder: &str, name: &[u8]) -> Result<String, MemberError> {
    let refuse = |why: &str| MemberError::Refused {
        member: format!("{folder}/{}", shown(name)),
        why: why.to_owned(),
    };
    let name = str::from_utf8(name).map_err(|_| refuse("its name is not UTF-8"))?;
    if name.contains('/') {
        return Err(refuse("its name has `/` in it"));
    }
    check_path(&rootfs::join(folder, name), false).map_err(|why| refuse(&why))
}
