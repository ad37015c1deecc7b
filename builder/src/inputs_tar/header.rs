//! The one header that each entry has.

use lunikernel_cache::checkout::EPOCH;
use tar::{EntryType, Header};

/// Tar counts in blocks of so many bytes.
pub(super) const BLOCK: u64 = 512;

/// The header of a file of that name and size: owned by user 0, readable by all, from
/// 1980-01-01. Sizes from 8 GiB on are written in base 256, as GNU tar does.
pub(super) fn header(name: &str, size: u64) -> std::io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(EPOCH.unsigned_abs());
    header.set_size(size);
    header.set_cksum();
    Ok(header)
}

/// How many zeros follow a file of that size.
pub(super) fn padding(size: u64) -> u64 {
    (BLOCK - size % BLOCK) % BLOCK
}
