//! What the tests of every crate share: how a test that cannot run here says so.

pub mod apk;

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::PathBuf;

/// The file that `scripts/test` gathers the left-out tests in.
const LIST: &str = "LUNI_LEFT_OUT";
/// Set where every test must run: leaving one out is then a failure.
const REQUIRE_ALL: &str = "LUNI_TESTS_REQUIRE_ALL";
/// The folder of a hashed mirror with real artefacts of other distributions.
const MIRROR: &str = "LUNI_TEST_MIRROR";

/// Which tests must run, as `LUNI_TESTS_REQUIRE_ALL` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Required {
    /// Those that can.
    None,
    /// All that want nothing but what can be installed (`1`).
    Installable,
    /// Those as well that want the mirror, which nobody can install (`mirror`).
    Mirrored,
}

impl Required {
    fn by(value: Option<&OsStr>) -> Result<Self, String> {
        match value.map(OsStr::to_string_lossy).as_deref() {
            None | Some("" | "0") => Ok(Self::None),
            Some("1") => Ok(Self::Installable),
            Some("mirror") => Ok(Self::Mirrored),
            Some(other) => Err(format!(
                "{REQUIRE_ALL} is `{other}`, and has to be `1` or `mirror`"
            )),
        }
    }

    /// # Panics
    /// Where the variable has another value than those.
    fn here() -> Self {
        let required = Self::by(std::env::var_os(REQUIRE_ALL).as_deref());
        required.unwrap_or_else(|flaw| panic!("{flaw}"))
    }
}

/// The name of the test that calls it: that of its thread, which is how the test
/// runner names threads.
#[must_use]
pub fn this_test() -> String {
    let thread = std::thread::current();
    thread.name().unwrap_or("a test").to_owned()
}

/// Says that the test `name` (`file::function`) cannot run here because of `reason`,
/// which names what is missing. The test returns after it. `scripts/test` prints
/// these at its end, so that no test is left out unseen.
///
/// # Panics
/// Where `LUNI_TESTS_REQUIRE_ALL` says that it must run.
pub fn left_out(name: &str, reason: &str) {
    list(name, reason, Required::Installable);
}

/// The hashed mirror with real artefacts that `LUNI_TEST_MIRROR` names. `None` where it
/// names none, and the test `name` is left out: no machine can install such a mirror, so
/// that is a failure only where `LUNI_TESTS_REQUIRE_ALL` is `mirror`.
///
/// # Panics
/// Where the mirror is required, and where the one that is named is no folder.
#[must_use]
pub fn artefacts(name: &str) -> Option<PathBuf> {
    let Some(mirror) = std::env::var_os(MIRROR).filter(|value| !value.is_empty()) else {
        list(
            name,
            &format!("{MIRROR} names no mirror with real artefacts"),
            Required::Mirrored,
        );
        return None;
    };
    let mirror = PathBuf::from(mirror);
    assert!(
        mirror.join("sha256").is_dir(),
        "{MIRROR} is {}, which has no folder `sha256`",
        mirror.display()
    );
    Some(mirror)
}

/// Lists the test `name` as left out, which is a failure where `from` or more is required.
fn list(name: &str, reason: &str, from: Required) {
    assert!(
        Required::here() < from,
        "{name} must run here ({REQUIRE_ALL} says so) but cannot: {reason}"
    );
    let line = format!("{name}: {reason}\n");
    eprint!("left out: {line}");
    if let Some(list) = std::env::var_os(LIST) {
        // One write of one line, appended: lines of parallel tests do not mix.
        let opened = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&list);
        let written = opened.and_then(|mut file| file.write_all(line.as_bytes()));
        assert!(written.is_ok(), "could not write to {LIST}: {written:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_required_only_where_it_is_named() {
        let by = |value: &str| Required::by(Some(OsStr::new(value))).unwrap();
        assert_eq!(Required::by(None), Ok(Required::None));
        for lenient in ["", "0"] {
            assert!(by(lenient) < Required::Installable);
        }
        assert!(by("1") >= Required::Installable && by("1") < Required::Mirrored);
        assert!(by("mirror") >= Required::Mirrored);
        let flaw = Required::by(Some(OsStr::new("true"))).unwrap_err();
        assert!(flaw.contains("`true`"), "{flaw}");
    }
}
