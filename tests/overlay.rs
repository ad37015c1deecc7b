//! `luni overlay` through the binary: the same content from every tool gives the same
//! bits, what is no sound zip is refused, and the result boots.

#[path = "overlay/disk.rs"]
mod disk;
mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fs_err as fs;
use lunikernel_builder::assemble::initramfs::initramfs;
use lunikernel_cache::artefact::{
    Boot, EntrySource, INITRAMFS, KERNEL, Manifest, Overlay, Protocol, seal,
};
use lunikernel_cache::{Cache, Node, Rootfs, Silent};
use serde_json::Value;
use support::{hello, luni, matches, project, transcript};

/// Seals a base with a few files into `folder`.
fn base(folder: &Path) -> PathBuf {
    let cache = Cache::open(&folder.join("cache")).unwrap();
    let blobs = cache.blobs();
    let mut root = Rootfs::new();
    let motd = blobs.put(b"old\n").unwrap();
    for (path, node) in [
        ("usr/lib", Node::folder(0o755)),
        ("lib", Node::symlink("usr/lib")),
        ("etc/motd", Node::file(0o644, motd)),
    ] {
        root.insert(path, node).unwrap();
    }
    let packed = initramfs(&root, blobs, 315_532_800).unwrap();
    let boot = Boot {
        protocol: Protocol::Linux,
        cmdline: "console=ttyS0".to_owned(),
        min_memory_mib: 64,
    };
    let manifest = Manifest {
        overlay: Overlay::Initramfs {},
        ..Manifest::new("base", "1", "debian", "x86_64", boot)
    };
    let kernel = blobs.put(b"kernel").unwrap();
    let entries = [
        EntrySource::of_blob(blobs, KERNEL, kernel).unwrap(),
        EntrySource::new(INITRAMFS, packed.digest, packed.crc32),
    ];
    let sealed = seal(blobs, manifest, &entries, &Silent).unwrap();
    let path = folder.join("base.luni.zip");
    fs::copy(blobs.path(&sealed.digest.sha256), &path).unwrap();
    path
}

/// `luni overlay base.luni.zip ARGS…` in `folder`.
fn overlay(folder: &Path, args: &[&str]) -> Output {
    luni(folder)
        .env("LUNI_CACHE", folder.join("cache"))
        .args(["overlay", "base.luni.zip"])
        .args(args)
        .output()
        .unwrap()
}

fn digest(output: &Output) -> String {
    hello::built_digest(output)
}

/// The content that every tool packs: modes, an empty folder, a link, names that are not
/// ASCII, and what compresses.
fn content(folder: &Path) -> PathBuf {
    let top = folder.join("content");
    fs::create_dir_all(top.join("etc/empty")).unwrap();
    fs::create_dir_all(top.join("lib")).unwrap();
    fs::create_dir_all(top.join("opt/bin")).unwrap();
    let long = "a line that comes again and again\n".repeat(5000);
    for (path, text, mode) in [
        ("etc/motd", "new\n", 0o644),
        ("etc/secret", "key\n", 0o600),
        ("lib/données", "é\n", 0o644),
        ("opt/bin/run", "#!/bin/sh\n", 0o755),
        ("opt/long", long.as_str(), 0o644),
    ] {
        fs::write(top.join(path), text).unwrap();
        fs::set_permissions(top.join(path), PermissionsExt::from_mode(mode)).unwrap();
    }
    for path in ["etc", "etc/empty", "lib", "opt", "opt/bin"] {
        fs::set_permissions(top.join(path), PermissionsExt::from_mode(0o755)).unwrap();
    }
    fs::os::unix::fs::symlink("../etc/motd", top.join("opt/link")).unwrap();
    top
}

/// Runs a tool in `folder`; false where it is not installed, with the test left out.
fn tool(name: &str, folder: &Path, argv: &[&str]) -> bool {
    let ran = Command::new(argv[0])
        .args(&argv[1..])
        .current_dir(folder)
        .env("LC_ALL", "C.UTF-8")
        .stdout(Stdio::null())
        .output();
    match ran {
        Ok(ran) => {
            assert!(ran.status.success(), "{argv:?}: {}", transcript(&ran));
            true
        }
        Err(_) => {
            lunikernel_testing::left_out(name, &format!("{} is not installed", argv[0]));
            false
        }
    }
}

/// Packs a folder with Python's zipfile: the last first, without folders but the empty
/// one, of another year.
const PYTHON: &str = r#"
import os, sys, zipfile
top, out = sys.argv[1:]
with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
    found = [(folder, name) for folder, _, names in os.walk(top) for name in names]
    for folder, name in sorted(found, reverse=True):
        path = os.path.join(folder, name)
        info = zipfile.ZipInfo(os.path.relpath(path, top), (2031, 5, 6, 7, 8, 10))
        info.create_system = 3
        info.external_attr = os.lstat(path).st_mode << 16
        link = os.path.islink(path)
        content = os.readlink(path).encode() if link else open(path, "rb").read()
        packed.writestr(info, content, zipfile.ZIP_STORED if link else None)
    packed.writestr(zipfile.ZipInfo("etc/empty/"), "")
"#;

#[test]
fn the_same_content_gives_the_same_bits_whatever_packed_it() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    base(here);
    let top = content(here);
    let golden = fs::read_to_string(project("tests/golden/overlay.sha256")).unwrap();
    let golden = golden.split_whitespace().next().unwrap();
    assert_eq!(
        digest(&overlay(here, &["content"])),
        golden,
        "from the folder"
    );

    let name = "overlay::the_same_content_gives_the_same_bits_whatever_packed_it";
    let out = top.to_str().unwrap();
    let ways: [(&str, &[&str]); 8] = [
        ("zip", &["zip", "-q", "-r", "-y", "../it.zip", "."]),
        (
            "zip -0",
            &[
                "zip",
                "-q",
                "-0",
                "-r",
                "-y",
                "../it.zip",
                "opt",
                "lib",
                "etc",
            ],
        ),
        (
            "zip -9",
            &["zip", "-q", "-9", "-X", "-r", "-y", "../it.zip", "."],
        ),
        ("python3", &["python3", "-c", PYTHON, out, "../it.zip"]),
        (
            "bsdtar",
            &["bsdtar", "-c", "--format", "zip", "-f", "../it.zip", "."],
        ),
        (
            "bsdtar stored",
            &[
                "bsdtar",
                "-c",
                "--format",
                "zip",
                "--options",
                "zip:compression=store",
                "-f",
                "../it.zip",
                "opt",
                "etc",
                "lib",
            ],
        ),
        ("7z", &["7z", "a", "-tzip", "-snl", "../it.zip", "."]),
        (
            "7z -mx0",
            &["7z", "a", "-tzip", "-snl", "-mx0", "../it.zip", "."],
        ),
    ];
    for (way, argv) in ways {
        let zip = here.join("it.zip");
        if zip.exists() {
            fs::remove_file(&zip).unwrap();
        }
        // Nothing but names, kinds, modes and content may count.
        tool(name, &top, &["touch", "etc/motd", "opt"]);
        if !tool(name, &top, argv) {
            continue;
        }
        let output = overlay(here, &["it.zip", "-o", "other name.zip"]);
        assert_eq!(digest(&output), golden, "by {way}");
    }
    // The content does count: another mode is another result.
    fs::set_permissions(top.join("etc/motd"), PermissionsExt::from_mode(0o640)).unwrap();
    assert_ne!(digest(&overlay(here, &["content"])), golden);
}

/// Whether a folder on the way is listed is the zip tool's choice.
#[test]
fn the_second_overlay_gives_the_same_with_and_without_folders_in_its_zip() {
    let name = "overlay::the_second_overlay_gives_the_same_with_and_without_folders_in_its_zip";
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    base(here);
    for (top, file, mode) in [("1", "a", 0o1777), ("2", "b", 0o755)] {
        let scratch = here.join(top).join("scratch");
        fs::create_dir_all(&scratch).unwrap();
        fs::write(scratch.join(file), file).unwrap();
        fs::set_permissions(&scratch, PermissionsExt::from_mode(mode)).unwrap();
    }
    let mut digests = Vec::new();
    for way in ["-qr", "-qrD"] {
        let zip = format!("../2{way}.zip");
        if !tool(name, &here.join("2"), &["zip", way, &zip, "."]) {
            return;
        }
        digests.push(digest(&overlay(here, &["1", &zip[3..]])));
    }
    digests.push(digest(&overlay(here, &["1", "2"])));
    assert!(digests.iter().all(|it| *it == digests[0]), "{digests:?}");
}

/// Under a umask of 077, and under one of 000.
#[test]
fn what_is_written_keeps_to_the_umask_and_its_bytes_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    base(here);
    content(here);
    let mode = |path: &str| fs::metadata(here.join(path)).unwrap().permissions().mode() & 0o777;
    let mut digests = Vec::new();
    for (umask, file, cache) in [("077", 0o600, 0o700), ("000", 0o644, 0o755)] {
        let own = luni(here);
        let ran = Command::new("sh")
            .args(["-c", "umask $0; exec \"$@\"", umask])
            .arg(own.get_program())
            .args(["overlay", "base.luni.zip", "content", "-o"])
            .args([
                &format!("{umask}.zip"),
                "--cache",
                &format!("cache-{umask}"),
            ])
            .current_dir(here)
            .env_remove("LUNI_CACHE")
            .output()
            .unwrap();
        digests.push(digest(&ran));
        assert_eq!(mode(&format!("{umask}.zip")), file, "{umask}");
        assert_eq!(mode(&format!("cache-{umask}")), cache, "{umask}");
    }
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn what_is_no_sound_zip_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    base(folder.path());
    let seeds = project("fuzz/seeds/overlay");
    let mut names: Vec<PathBuf> = fs::read_dir(&seeds)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    let mut told = String::new();
    for path in names {
        let name = path.file_name().unwrap().to_str().unwrap();
        fs::copy(&path, folder.path().join("it.zip")).unwrap();
        let output = overlay(folder.path(), &["it.zip", "-q"]);
        let out = folder.path().join("base-overlaid.luni.zip");
        if !name.starts_with("bad-") {
            assert!(output.status.success(), "{name}: {}", transcript(&output));
            fs::remove_file(&out).unwrap();
            continue;
        }
        assert_eq!(
            output.status.code(),
            Some(3),
            "{name}: {}",
            transcript(&output)
        );
        assert!(!out.exists() && output.stdout.is_empty(), "{name}");
        told += &format!("{name}\n{}\n", String::from_utf8_lossy(&output.stderr));
    }
    assert!(
        matches(&told, &project("tests/overlay/errors.txt")),
        "if the change is meant: UPDATE=1 cargo test --test overlay"
    );
}

#[test]
fn limits_can_be_raised_and_lowered() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    base(here);
    fs::copy(
        project("fuzz/seeds/overlay/bad-bomb.zip"),
        here.join("it.zip"),
    )
    .unwrap();
    let code = |args: &[&str]| overlay(here, args).status.code();
    assert_eq!(code(&["it.zip"]), Some(3));
    assert_eq!(code(&["it.zip", "--max-ratio", "2000"]), Some(0));
    assert_eq!(
        code(&["it.zip", "--max-ratio", "2000", "--max-size", "1M"]),
        Some(3)
    );
    fs::create_dir(here.join("it")).unwrap();
    fs::write(here.join("it/zeros"), vec![0; 2 << 20]).unwrap();
    assert_eq!(code(&["it"]), Some(0));
    assert_eq!(code(&["it", "--max-size", "1M"]), Some(3));
}

/// Programs and what is none, without modes: of another system, and by Python's
/// `writestr`, which gives files 0600 without saying that they are files.
const NO_MODES: &str = r#"
import zipfile
programs = ["bin/plain", "usr/sbin/plain", "init", "opt/deploy.sh", "opt/elf"]
others = ["etc/init", "opt/bin.txt", "opt/sh", "sbin.d/x"]
def content(name):
    return b"\x7fELF\x02" if name == "opt/elf" else b"text"
with zipfile.ZipFile("dos.zip", "w") as packed:
    for name in programs + others:
        info = zipfile.ZipInfo(name)
        info.create_system = 0
        info.external_attr = 0x20
        packed.writestr(info, content(name))
with zipfile.ZipFile("writestr.zip", "w") as packed:
    for name in programs + others:
        info = zipfile.ZipInfo(name)
        info.create_system = 3
        info.external_attr = 0o600 << 16
        packed.writestr(info, content(name))
"#;

#[test]
fn programs_without_modes_become_executable() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    base(here);
    let name = "overlay::programs_without_modes_become_executable";
    if !tool(name, here, &["python3", "-c", NO_MODES]) {
        return;
    }
    let text: &[u8] = b"text";
    for (path, content, mode) in [
        ("bin/plain", text, 0o755),
        ("usr/sbin/plain", text, 0o755),
        ("init", text, 0o755),
        ("opt/deploy.sh", text, 0o755),
        ("opt/elf", b"\x7fELF\x02", 0o755),
        ("etc/init", text, 0o644),
        ("opt/bin.txt", text, 0o644),
        ("opt/sh", text, 0o644),
        ("sbin.d/x", text, 0o644),
    ] {
        let path = here.join("expected").join(path);
        for folder in path.ancestors().skip(1).take_while(|it| *it != here) {
            fs::create_dir_all(folder).unwrap();
            fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
        }
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let expected = digest(&overlay(here, &["expected"]));
    for zip in ["dos.zip", "writestr.zip"] {
        assert_eq!(digest(&overlay(here, &[zip])), expected, "{zip}");
    }
}

#[test]
fn a_diff_with_the_base_says_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    base(here);
    let write = |path: &str, content: &str, mode: u32| {
        let path = here.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    };
    write("one/opt/changed", "as it was\n", 0o644);
    write("one/opt/gone", "gone\n", 0o644);
    write("one/opt/run", "run\n", 0o644);
    write("one/opt/same", "same\n", 0o644);
    write("two/opt/added", "added\n", 0o644);
    write("two/opt/changed", "as it is\n", 0o644);
    write("two/opt/run", "run\n", 0o755);
    write("two/opt/same", "same\n", 0o644);
    write("three/opt/.wh.gone", "", 0o644);
    let laid = |args: &[&str]| {
        let output = overlay(here, args);
        assert!(output.status.success(), "{}", transcript(&output));
    };
    laid(&["one", "-o", "one.zip"]);
    laid(&["one", "two", "three", "-o", "three.zip"]);
    let diff = |left: &str, right: &str, more: &[&str]| {
        let output = luni(here)
            .args(["diff", left, right])
            .args(more)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(10), "{}", transcript(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    // An archive behind the base's, one in the place of another, and one whose base was
    // unpacked to remove something.
    let expected = |presence: &str, others: &str| {
        format!("initramfs.gz: member `opt`: {presence}\nalso different:\n{others}")
    };
    let only = "only the right one has it";
    let each = |name: &str| format!("  initramfs.gz: member `opt/{name}`: {only}\n");
    let others: String = ["changed", "gone", "run", "same"].map(each).concat();
    let text = diff("base.luni.zip", "one.zip", &[]);
    assert!(text.starts_with(&expected(only, &others)), "{text}");

    let over = |way: &str| {
        let text = diff("one.zip", way, &[]);
        let expected = "initramfs.gz: member `opt/added`: only the right one has it
also different:
  initramfs.gz: member `opt/changed`: line 1 differs
  initramfs.gz: member `opt/gone`: only the left one has it
  initramfs.gz: member `opt/run`: mode differs: 100644 → 100755
";
        assert!(text.starts_with(expected), "{way}: {text}");
        let told: Value = serde_json::from_str(&diff("one.zip", way, &["--json"])).unwrap();
        let others = told["difference"]["others"].as_array().unwrap();
        let all = [&told["difference"]].into_iter().chain(others);
        let all = all.filter(|it| it["entry"] == INITRAMFS);
        let found = all.map(|it| (&it["path"][1]["name"], &it["found"]));
        let found: Vec<(&str, String)> = found
            .map(|(name, found)| {
                let said = match found["kind"].as_str().unwrap() {
                    "presence" => found["only_in"].to_string(),
                    "field" => format!("{} {} {}", found["field"], found["left"], found["right"]),
                    _ => format!("{} {}", found["left"], found["right"]),
                };
                (name.as_str().unwrap(), said.replace('"', ""))
            })
            .collect();
        let expected = [
            ("opt/added", "right"),
            ("opt/changed", "as it was as it is"),
            ("opt/gone", "left"),
            ("opt/run", "mode 100644 100755"),
        ]
        .map(|(name, said)| (name, said.to_owned()));
        assert_eq!(found, expected, "{way}");
    };
    over("three.zip");
    fs::rename(here.join("one.zip"), here.join("base.luni.zip")).unwrap();
    laid(&["two", "three", "-o", "rewritten.zip"]);
    fs::rename(here.join("base.luni.zip"), here.join("one.zip")).unwrap();
    over("rewritten.zip");
}

#[test]
fn what_was_laid_over_it_is_told_as_data() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    base(here);
    fs::create_dir_all(here.join("one/etc")).unwrap();
    fs::write(here.join("one/etc/issue"), "1").unwrap();
    fs::write(here.join("one/etc/.wh.motd"), "").unwrap();
    let output = overlay(here, &["one", "--json", "-o", "out.zip"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let changes = serde_json::json!({
        "added": ["etc/issue"], "changed": [], "removed": ["etc/motd"],
    });
    assert_eq!(answer["changes"], changes);
    let inspected = luni(here)
        .args(["inspect", "--json", "out.zip"])
        .output()
        .unwrap();
    let inspected: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(
        inspected["overlays"],
        serde_json::json!([answer["overlaid"]])
    );
    assert_eq!(inspected["digest"], answer["artefact"]);

    // Its recipe does not make it, and so nothing pretends that it does.
    for (verb, code) in [("build", 3), ("verify-reproducibility", 3)] {
        let output = luni(here).args([verb, "out.zip"]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", transcript(&output));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            told.contains("what was laid over it is not in its recipe"),
            "{told}"
        );
    }
}

#[test]
fn a_second_implementation_finds_every_byte_right() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    base(here);
    content(here);
    fs::create_dir_all(here.join("second/etc")).unwrap();
    fs::create_dir_all(here.join("second/lib")).unwrap();
    fs::write(here.join("second/lib/more.sh"), "more\n").unwrap();
    fs::write(here.join("second/etc/.wh.secret"), "").unwrap();
    fs::hard_link(
        here.join("second/lib/more.sh"),
        here.join("second/lib/again"),
    )
    .unwrap();
    let laid = overlay(here, &["content", "second", "-o", "out.zip"]);
    assert!(laid.status.success(), "{}", transcript(&laid));
    let checked = Command::new("python3")
        .arg(project("tests/overlay/second_overlay.py"))
        .args(["out.zip", "base.luni.zip", "content", "second"])
        .current_dir(here)
        .output();
    let Ok(checked) = checked else {
        let name = "overlay::a_second_implementation_finds_every_byte_right";
        lunikernel_testing::left_out(name, "python3 is not installed");
        return;
    };
    assert!(checked.status.success(), "{}", transcript(&checked));
    assert_eq!(
        String::from_utf8_lossy(&checked.stdout),
        digest(&laid) + "\n"
    );
}

/// A service that takes the place of hello's.
const SERVICE: &str = "#!/bin/busybox sh
echo 'hello: serving another page'
exec /bin/busybox httpd -f -p 80 -h /srv/www
";

#[test]
fn an_overlaid_hello_serves_another_page() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let name = "overlay::an_overlaid_hello_serves_another_page";
    let qemu = Command::new("qemu-system-x86_64").arg("--version").output();
    if qemu.is_err() {
        lunikernel_testing::left_out(name, "qemu-system-x86_64 is not installed");
        return;
    }
    let Some(mirror) = hello::mirror(name) else {
        return;
    };
    let build = hello::luni(&here.join("cache"))
        .args(["--offline", "--mirror", &mirror, "build"])
        .arg(hello::recipe())
        .arg("-o")
        .arg(here.join("base.luni.zip"))
        .output()
        .unwrap();
    assert_eq!(digest(&build), hello::golden());
    fs::create_dir_all(here.join("mine/etc/luni/services")).unwrap();
    fs::create_dir_all(here.join("mine/srv/www")).unwrap();
    let service = here.join("mine/etc/luni/services/hello");
    fs::write(&service, SERVICE).unwrap();
    fs::set_permissions(&service, PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(
        here.join("mine/srv/www/index.html"),
        "Hello from an overlay!\n",
    )
    .unwrap();
    // What is removed must be gone in the machine too.
    fs::create_dir_all(here.join("mine/usr/bin")).unwrap();
    fs::write(here.join("mine/usr/bin/.wh.hello"), "").unwrap();
    let laid = overlay(here, &["mine", "-o", "out.zip"]);
    assert!(laid.status.success(), "{}", transcript(&laid));
    let line = "hello: serving another page";
    let answer = support::booted::page(here, &here.join("out.zip"), line);
    assert!(
        answer.ends_with("\r\n\r\nHello from an overlay!\n"),
        "{answer}"
    );
}
