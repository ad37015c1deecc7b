//! Overlays of a unikernel, read by unikernels: Solo5's own test of block devices, and one
//! that writes the files of its disk to the console. Both are compiled in the sandbox.

use std::path::Path;
use std::process::Output;

use fs_err as fs;

use super::support::{hello, project, transcript};

/// The recipe of Solo5's test program, for the two that have a disk instead. The crate has
/// the test of block devices, and ours is compiled in its place.
fn recipe(kernel: &str) -> String {
    let program = fs::read_to_string(project("tests/overlay/disk.c")).unwrap();
    let given = fs::read_to_string(project("recipes/mirage/solo5-hello/recipe.yaml")).unwrap();
    let mut lines = Vec::new();
    for line in given.lines() {
        if line.trim_start() == r#"make TOPDIR="$PWD" -C tests/test_hello"# {
            let indented = |line: &str| format!("      {line}");
            let make = r#"make TOPDIR="$PWD" -C tests/test_blk test_blk.spt"#;
            lines.push(indented(make));
            lines.push(indented("cp tests/test_blk/test_blk.spt test_blk.spt"));
            lines.push(indented("cat > tests/test_blk/test_blk.c <<'END'"));
            lines.extend(program.lines().map(indented));
            lines.push(indented("END"));
            lines.push(indented(
                "rm tests/test_blk/test_blk.o tests/test_blk/test_blk.spt",
            ));
            lines.push(indented(make));
            lines.push(indented("cp tests/test_blk/test_blk.spt disk.spt"));
        } else if line.contains("cp tests/test_hello/test_hello.hvt") {
            lines.push("      cp test_blk.spt disk.spt tenders/spt/solo5-spt ../out".to_owned());
        } else if !line.contains("tests/test_hello/") {
            lines.push(line.replace("test_hello.spt", kernel));
        }
    }
    lines.join("\n")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", transcript(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn unikernels_read_the_disk_that_overlays_made() {
    let name = "overlay::disk::unikernels_read_the_disk_that_overlays_made";
    let solo5 = project("recipes/mirage/solo5-hello");
    let Some(mirror) = hello::mirror_of(name, "solo5-hello", &solo5) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let luni = |args: &[&str]| {
        hello::luni(&here.join("cache"))
            .args(["--offline", "--quiet", "--mirror", &mirror])
            .args(args)
            .current_dir(here)
            .output()
            .unwrap()
    };
    let write = |path: &str, content: &str| {
        let path = here.join(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).unwrap();
        fs::write(path, content).unwrap();
    };
    fs::copy(solo5.join("recipe.lock"), here.join("recipe.lock")).unwrap();
    // Longer than a sector, so that the next file is not where it would be otherwise.
    let long = "0123456789\n".repeat(100);
    write("one/www/index.html", "an old page\n");
    write("one/robots.txt", &long);
    write("one/old.txt", "old\n");
    write("two/www/index.html", "a page of the overlay\n");
    write("two/.wh.old.txt", "");

    write("recipe.yaml", &recipe("disk.spt"));
    stdout(&luni(&["build", "-o", "base.zip"]));
    stdout(&luni(&["overlay", "base.zip", "one", "-o", "one.zip"]));
    stdout(&luni(&["overlay", "one.zip", "two", "-o", "both.zip"]));
    let ran = luni(&["run", "both.zip", "--own-tender", "--timeout", "300"]);
    let expected =
        format!("file robots.txt: {long}file www/index.html: a page of the overlay\nend of disk\n");
    let console = stdout(&ran);
    assert!(console.contains(&expected), "{console}");

    // Solo5's test writes to what it reads; it must not reach the Lunikernel.
    write("recipe.yaml", &recipe("test_blk.spt"));
    stdout(&luni(&["build", "-o", "test.zip"]));
    stdout(&luni(&["overlay", "test.zip", "one", "-o", "laid.zip"]));
    let before = fs::read(here.join("laid.zip")).unwrap();
    let ran = luni(&["run", "laid.zip", "--own-tender", "--timeout", "300"]);
    let console = stdout(&ran);
    assert!(console.contains("\nSUCCESS\n"), "{console}");
    assert!(fs::read(here.join("laid.zip")).unwrap() == before);
}
