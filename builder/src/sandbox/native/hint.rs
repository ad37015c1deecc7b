//! What helps where the machine does not let a sandbox be set up.

use std::io;
use std::path::Path;

use fs_err as fs;

/// What to do about `source`, which came of what was `attempted`.
pub(super) fn hint(attempted: &str, source: &io::Error) -> Option<String> {
    if attempted.contains("namespace") || attempted.contains("map the user") {
        return Some(about_namespaces());
    }
    if source.kind() == io::ErrorKind::StorageFull {
        return Some("free some space, or name a larger disk with `--cache DIR`".to_owned());
    }
    if attempted.contains("overlayfs") {
        return Some(
            "this needs Linux 5.11 or newer and a cache on ext4, xfs, btrfs or tmpfs; name one with `--cache DIR`"
                .to_owned(),
        );
    }
    if attempted.contains("about owners") {
        return Some(
            "this needs Linux 5.6 or newer, and nothing around it that is handed system calls, as some container runtimes are"
                .to_owned(),
        );
    }
    attempted.contains("/proc").then(|| {
        "inside a container, start that with `--security-opt systempaths=unconfined`".to_owned()
    })
}

/// By far the most frequent reason: each distribution has its own way to forbid
/// namespaces.
fn about_namespaces() -> String {
    let is = |path: &str, value: &str| {
        fs::read_to_string(Path::new("/proc/sys").join(path)).is_ok_and(|text| text.trim() == value)
    };
    let advice = if is("kernel/unprivileged_userns_clone", "0") {
        "user namespaces are for root only here; open them with `sudo sysctl kernel.unprivileged_userns_clone=1`"
    } else if is("user/max_user_namespaces", "0") {
        "user namespaces are off; turn them on with `sudo sysctl user.max_user_namespaces=16384`"
    } else if is("kernel/apparmor_restrict_unprivileged_userns", "1") {
        "AppArmor restricts user namespaces here; open them with `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
    } else {
        "inside a container, start that with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`; elsewhere see that `sysctl user.max_user_namespaces` is large enough"
    };
    advice.to_owned()
}
