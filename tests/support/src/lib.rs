//! What the tests of every crate share: how a test that cannot run here says so.

pub mod apk;

use std::io::Write as _;

/// The file that `scripts/test` gathers the left-out tests in.
const LIST: &str = "LUNI_LEFT_OUT";
/// Set to `1` where every test must run: leaving one out is then a failure.
const REQUIRE_ALL: &str = "LUNI_TESTS_REQUIRE_ALL";

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
/// Where `LUNI_TESTS_REQUIRE_ALL` is `1`.
pub fn left_out(name: &str, reason: &str) {
    let required = std::env::var_os(REQUIRE_ALL).is_some_and(|value| value == "1");
    assert!(
        !required,
        "{name} must run here ({REQUIRE_ALL}=1) but cannot: {reason}"
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
