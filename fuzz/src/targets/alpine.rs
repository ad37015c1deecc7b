//! What repositories of Alpine serve, and what is in its packages.

use lunikernel_builder::assemble::apk::{self, Checksum, Info, Installed};
use lunikernel_builder::source::apk::fuzz;

/// Whether `read` accepts `data`; what it accepts must be read the same again from what
/// it is written as.
fn stable(data: &[u8], read: impl Fn(&[u8]) -> Option<String>) -> bool {
    let Some(written) = read(data) else {
        return false;
    };
    let again = read(written.as_bytes());
    assert_eq!(again, Some(written), "read differently");
    true
}

pub(crate) fn apk(data: &[u8]) -> bool {
    let Ok((_, root)) = apk::fuzz(data) else {
        return false;
    };
    for (path, _) in root.nodes() {
        assert!(!path.split('/').any(|part| part == ".." || part.is_empty()));
    }
    true
}

/// Without a key nothing may be accepted; the target says whether the text is.
pub(crate) fn apk_index(data: &[u8]) -> bool {
    assert!(!fuzz::signed_index(data), "an index was accepted unsigned");
    stable(data, fuzz::index)
}

pub(crate) fn apk_info(data: &[u8]) -> bool {
    str::from_utf8(data).is_ok_and(|text| Info::parse(text).is_ok())
}

pub(crate) fn apk_installed(data: &[u8]) -> bool {
    stable(data, |data| {
        let installed = Installed::parse(str::from_utf8(data).ok()?).ok()?;
        Some(installed.render())
    })
}

pub(crate) fn apk_dependencies(data: &[u8]) -> bool {
    stable(data, fuzz::dependencies)
}

pub(crate) fn apk_versions(data: &[u8]) -> bool {
    fuzz::versions(data)
}

pub(crate) fn apk_key(data: &[u8]) -> bool {
    fuzz::key(data)
}

pub(crate) fn apk_checksum(data: &[u8]) -> bool {
    stable(data, |data| {
        Checksum::parse(str::from_utf8(data).ok()?).map(|checksum| checksum.to_string())
    })
}
