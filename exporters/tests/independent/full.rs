//! Machines with little room: nothing is left of what did not fit on a full disk, and
//! memory does not follow the size of the content.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools::need;

/// The example, which every run of the tests builds. The test's own program is in
/// target/PROFILE/deps, and examples are beside that.
fn example() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let profile = program.parent().and_then(Path::parent).unwrap();
    profile.join("examples/export")
}

/// Runs the example in a mount namespace of its own, in which a file system of 1 MiB is
/// mounted at `folder`; gives whether it succeeded, what it said, and what is left.
fn export_into_one_mib(unshare: &Path, format: &str, size: &str) -> Option<(bool, String)> {
    let folder = tempfile::tempdir().unwrap();
    let content = folder.path().join("content");
    let noise: Vec<u8> = (0..4_000_000u32)
        .map(|it| (it.wrapping_mul(it) >> 7) as u8)
        .collect();
    fs_err::write(&content, noise).unwrap();
    let script = r#"
        mkdir small && mount -t tmpfs -o size=1M none small || exit 99
        "$0" "$1" small/out "$2" file=content && echo it succeeded
        ls -A small
    "#;
    let mut command = Command::new(unshare);
    command.args(["-r", "-m", "sh", "-c", script]);
    command.arg(example()).args([format, size]);
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

/// 256 MiB of content, in 200 MB of address space: memory, program and stacks together.
#[test]
fn memory_does_not_follow_the_content() {
    let folder = tempfile::tempdir().unwrap();
    let noise: Vec<u8> = (0..1u32 << 20)
        .map(|it| (it.wrapping_mul(it) >> 7) as u8)
        .collect();
    let mut file = fs_err::File::create(folder.path().join("content")).unwrap();
    for _ in 0..256 {
        std::io::Write::write_all(&mut file, &noise).unwrap();
    }
    for format in ["raw", "qcow2-compressed", "gce", "vmdk", "vhdx", "digest"] {
        let mut command = Command::new("sh");
        let script = r#"ulimit -v 200000 && exec "$0" "$1" out 102400 file=content"#;
        command.args(["-c", script]).arg(example()).arg(format);
        let output = command.current_dir(folder.path()).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{format}: {errors}");
    }
}
