//! A disk that is full: nothing is left of what did not fit.

use std::path::Path;
use std::process::Command;

use crate::tools::need;

/// Runs the example in a mount namespace of its own, in which a file system of 1 MiB is
/// mounted at `folder`; gives whether it succeeded, what it said, and what is left.
fn export_into_one_mib(unshare: &Path, format: &str, size: &str) -> Option<(bool, String)> {
    let folder = tempfile::tempdir().unwrap();
    let content = folder.path().join("content");
    let noise: Vec<u8> = (0..4_000_000u32)
        .map(|it| (it.wrapping_mul(it) >> 7) as u8)
        .collect();
    fs_err::write(&content, noise).unwrap();
    // The test's own program is in target/PROFILE/deps, and examples are beside that.
    let program = std::env::current_exe().unwrap();
    let example = program.parent()?.parent()?.join("examples/export");
    let script = r#"
        mkdir small && mount -t tmpfs -o size=1M none small || exit 99
        "$0" "$1" small/out "$2" file=content && echo it succeeded
        ls -A small
    "#;
    let mut command = Command::new(unshare);
    command.args(["-r", "-m", "sh", "-c", script]);
    command.arg(&example).args([format, size]);
    let output = command.current_dir(folder.path()).output().unwrap();
    if output.status.code() == Some(99) || !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        lunikernel_testing::left_out(
            &lunikernel_testing::this_test(),
            &format!("nothing can be mounted here: {said}"),
        );
        return None;
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    Some((printed.is_empty(), printed + &errors))
}

#[test]
fn nothing_is_left_where_the_disk_is_full() {
    let Some(unshare) = need("unshare") else {
        return;
    };
    for format in ["raw", "qcow2", "gce", "vmdk", "vhd", "vdi", "vhdx"] {
        let Some((nothing_left, said)) = export_into_one_mib(&unshare, format, "1024") else {
            return;
        };
        assert!(nothing_left, "{format}: {said}");
        assert!(said.contains("StorageFull"), "{format}: {said}");
    }
}
