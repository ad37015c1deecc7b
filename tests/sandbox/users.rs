//! The whole suite again, as an ordinary user.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use fs_err as fs;

use crate::bench::{LUNI, PROBE, luni, probe};

/// A user that owns nothing on this machine.
const ORDINARY: u32 = 54_321;

#[test]
fn all_of_this_holds_for_an_ordinary_user() {
    if rustix::process::geteuid().as_raw() != 0 {
        println!("this is an ordinary user already");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let open = |path: &std::path::Path| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    open(place);
    for (name, from) in [
        ("suite", std::env::current_exe().unwrap()),
        ("luni", luni()),
    ] {
        fs::copy(from, place.join(name)).unwrap();
        open(&place.join(name));
    }
    fs::write(place.join("probe"), probe()).unwrap();
    let own = place.join("own");
    fs::create_dir(&own).unwrap();
    fs::os::unix::fs::chown(&own, Some(ORDINARY), Some(ORDINARY)).unwrap();

    let output = Command::new(place.join("suite"))
        .uid(ORDINARY)
        .gid(ORDINARY)
        .env(LUNI, place.join("luni"))
        .env(PROBE, place.join("probe"))
        .env("TMPDIR", &own)
        .env("HOME", &own)
        .current_dir(&own)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("test result: ok."), "{text}");
}
