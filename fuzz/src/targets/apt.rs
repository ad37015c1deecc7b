//! What the package manager is configured with, and what archives serve.

use std::fmt::Debug;
use std::sync::OnceLock;

use lunikernel_builder::source::deb::fuzz;

const INRELEASE: &[u8] = include_bytes!("../../seeds/inrelease/good");
const RELEASE: &[u8] = include_bytes!("../../seeds/release/good");
const KEYRING: &[u8] = include_bytes!("../../seeds/keyring/good");
/// An hour after the release's date, 2026-07-11 10:16:37 UTC.
const NOW: u64 = 1_783_764_997 + 3600;

/// Whether `read` accepts `data`; what it accepts must be read the same again from what
/// it is written as.
fn stable<E: Debug>(data: &[u8], read: impl Fn(&[u8]) -> Result<String, E>) -> bool {
    let Ok(written) = read(data) else {
        return false;
    };
    let again = read(written.as_bytes()).expect("what was written can be read");
    assert_eq!(again, written, "read differently");
    true
}

pub(crate) fn apt_conf(data: &[u8]) -> bool {
    let written = fuzz::apt_conf(data);
    // Each setting repeats the names of the blocks around it, within a bound.
    assert!(written.len() <= data.len() * 1100, "it takes much memory");
    stable(data, |data| Ok::<_, ()>(fuzz::apt_conf(data)))
}

pub(crate) fn sources(data: &[u8]) -> bool {
    stable(data, |data| fuzz::sources(data).ok_or(()))
}

pub(crate) fn sources_list(data: &[u8]) -> bool {
    let Some(written) = fuzz::sources_list(data) else {
        return false;
    };
    assert_eq!(fuzz::sources(written.as_bytes()), Some(written));
    true
}

pub(crate) fn packages(data: &[u8]) -> bool {
    stable(data, fuzz::packages)
}

pub(crate) fn relations(data: &[u8]) -> bool {
    stable(data, fuzz::relations)
}

/// Two versions, one on each line.
pub(crate) fn versions(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let (one, two) = text.split_once('\n').unwrap_or((&text, &text));
    let ordered = fuzz::versions_are_ordered(one, two.trim_end_matches('\n'));
    assert_ne!(ordered, Some(false), "the order depends on who is asked");
    ordered.is_some()
}

pub(crate) fn release(data: &[u8]) -> bool {
    stable(data, fuzz::release)
}

/// The key that signed the seeds, and what it signed.
fn signed() -> &'static (Vec<String>, String) {
    static SIGNED: OnceLock<(Vec<String>, String)> = OnceLock::new();
    SIGNED.get_or_init(|| fuzz::inrelease(INRELEASE, KEYRING, NOW).expect("the seed is signed"))
}

/// A signed release file: what is accepted is what the key signed.
pub(crate) fn inrelease(data: &[u8]) -> bool {
    match fuzz::inrelease(data, KEYRING, NOW) {
        Ok(accepted) => {
            assert_eq!(&accepted, signed(), "nobody signed this");
            true
        }
        Err(_) => false,
    }
}

/// A detached signature: it is of the key, or refused.
pub(crate) fn signature(data: &[u8]) -> bool {
    let accepted = fuzz::detached(RELEASE, data, KEYRING, NOW);
    if let Ok(accepted) = &accepted {
        assert_eq!(accepted, signed(), "nobody signed this");
        assert!(fuzz::signatures(data).is_ok_and(|count| count > 0));
    }
    accepted.is_ok()
}

/// A keyring: of what a key signed, no other key takes the credit.
pub(crate) fn keyring(data: &[u8]) -> bool {
    if let Ok(accepted) = fuzz::inrelease(INRELEASE, data, NOW) {
        assert_eq!(&accepted, signed(), "another key vouches");
    }
    fuzz::keyring(data) > 0
}
