//! The real apk, of the minirootfs of 3.20.3, in a Lunikernel that runs: what it makes of
//! the database that a build writes, and what it writes itself for the same packages.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use fs_err as fs;
use lunikernel_testing::apk::{self as testing, Apk};

use super::own::lock_kernel;
use super::support::{hello, transcript};
use super::{artefacts, has_qemu, listed};

/// What the guest does: the commands, each with what it prints between two lines that name
/// it.
const SCRIPT: &str = include_str!("real.sh");

/// Packages of all the kinds that there are: with scripts of all kinds, triggers, owners by
/// name, links, files in folders that nobody lists, and with nothing in them at all.
fn packages() -> Vec<Apk> {
    let mut all = vec![
        Apk::new("tool", "1.0-r0")
            .depends("tool-files /bin/sh")
            .provides("cmd:tool=1.0-r0 tool-api")
            .provides("pc:tool=1.0-release")
            .line("builddate = 1700000001")
            .line("commit = 3239e62fb1c7968e923016358345a4dcc7e2f87d")
            .line("maintainer = A Tester <tester@example.org>")
            .line("provider_priority = 7")
            .file("usr/", 0o755, "")
            .file("usr/bin/", 0o755, "")
            .file("usr/bin/tool", 0o4755, "#!/bin/sh\necho a tool\n")
            .file("usr/bin/alias", 0, "tool")
            .file("etc/", 0o755, "")
            .file("etc/tool.conf", 0o640, "secret\n")
            .owned("etc/tool.conf", ("root", 0), ("tool", 482))
            .file("var/", 0o755, "")
            .file("var/lib/", 0o755, "")
            .file("var/lib/tool/", 0o750, "")
            .owned("var/lib/tool/", ("tool", 481), ("tool", 482))
            .file("var/lib/tool/empty", 0o600, "")
            .owned("var/lib/tool/empty", ("tool", 481), ("tool", 482))
            .script(
                ".pre-install",
                "#!/bin/sh\naddgroup -S -g 182 tool\nadduser -S -D -H -u 181 -G tool tool\n",
            )
            .script(
                ".post-install",
                "#!/bin/sh\necho made > /var/lib/tool-made\n",
            )
            .script(".pre-upgrade", "#!/bin/sh\n")
            .script(".post-upgrade", "#!/bin/sh\n")
            .script(
                ".pre-deinstall",
                "#!/bin/sh\necho going > /var/lib/tool-going\n",
            )
            .script(
                ".post-deinstall",
                "#!/bin/sh\necho gone >> /var/lib/tool-going\n",
            ),
        Apk::new("tool-files", "2.0_p1-r3")
            .origin("tool")
            .line("replaces = tool-old<2 tool-older")
            .line("replaces_priority = 5")
            .line("builddate = 1700000002")
            .line("triggers = /usr/share/watched /usr/share/watched/*")
            .file("usr/", 0o755, "")
            .file("usr/share/", 0o755, "")
            .file("usr/share/tool/", 0o755, "")
            .file("opt/", 0o755, "")
            .file("opt/deep/", 0o755, "")
            .file("opt/deep/er/", 0o755, "")
            .file("usr/share/tool/a file with spaces", 0o644, "spaces\n")
            .file("usr/share/tool/ünï", 0o444, "letters\n")
            .file("usr/share/watched/", 0o755, "")
            .file("usr/share/watched/one/", 0o1777, "")
            .file("opt/deep/er/file", 0o755, "deep\n")
            .file("in-the-root", 0o644, "root\n")
            .script(
                ".trigger",
                "#!/bin/sh\necho \"$@\" >> /var/lib/tool-triggered\n",
            ),
        Apk::new("Upper", "1-r0")
            .line("builddate = 1700000003")
            .line("triggers = /usr/share/tool")
            .script(".trigger", "#!/bin/sh\nexit 0\n"),
        Apk::new("meta", "1-r0").depends("tool Upper"),
        Apk::new("along", "1-r0").line("install_if = tool tool-files"),
    ];
    all.push(
        Apk::new("further", "1-r0")
            .depends("tool-api")
            .line("builddate = 1700000004")
            .file("usr/", 0o755, "")
            .file("usr/share/", 0o755, "")
            .file("usr/share/watched/", 0o755, "")
            .file("usr/share/watched/two/", 0o755, "")
            .file("usr/share/watched/two/file", 0o644, "new\n")
            .script(
                ".post-install",
                "#!/bin/sh\necho further > /var/lib/further-made\n",
            ),
    );
    all
}

/// A folder with the real repository, as apk wants it.
fn real_repository(mirror: &Path, folder: &Path) {
    fs::create_dir_all(folder.join("x86_64")).unwrap();
    for ((name, from), hex) in listed(mirror) {
        if from == "alpine v3.7 main x86_64" {
            let name = name.strip_prefix("v3.7-main-").unwrap_or(&name);
            fs::copy(
                mirror.join("sha256").join(hex),
                folder.join("x86_64").join(name),
            )
            .unwrap();
        }
    }
}

/// The packages that `apk info -vv` lists, as `name-version`.
fn listed_by_apk(said: &str) -> BTreeSet<String> {
    let lines = said.lines().filter_map(|line| line.split_once("info: "));
    let names = lines.filter_map(|(_, rest)| Some(rest.split_once(" - ")?.0.to_owned()));
    names.collect()
}

/// Those of the base, and those that a lock names.
fn locked(lock: &str, base: &str) -> BTreeSet<String> {
    let apks = &lock[lock.find("  packages:\n    apk:\n").unwrap()..];
    let names = apks
        .lines()
        .filter_map(|line| line.strip_prefix("      - name: "));
    let versions = apks
        .lines()
        .filter_map(|line| line.strip_prefix("        version: "));
    let field = |letter: &'static str| {
        base.lines()
            .filter_map(move |line| line.strip_prefix(letter))
    };
    (names.zip(versions))
        .chain(field("P:").zip(field("V:")))
        .map(|(name, version)| format!("{name}-{version}"))
        .collect()
}

/// The database of the base.
fn base_database(mirror: &Path, hex: &str) -> String {
    let packed = fs::File::open(mirror.join("sha256").join(hex)).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed));
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let mut entry = entries
        .find(|entry| entry.path_bytes().ends_with(b"lib/apk/db/installed"))
        .unwrap();
    let mut text = String::new();
    entry.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_real_apk_goes_on_from_what_was_written() {
    let name = "alpine::real::the_real_apk_goes_on_from_what_was_written";
    let Some(mirror) = artefacts(name) else {
        return;
    };
    let Some(debian) = hello::mirror(name) else {
        return;
    };
    if !has_qemu(name) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("real");
    fs::create_dir_all(&recipe).unwrap();
    testing::repository(&recipe.join("ours"), &packages());
    real_repository(&mirror, &recipe.join("theirs"));
    let (_, base) = listed(&mirror)
        .into_iter()
        .find(|((name, _), _)| name.starts_with("alpine-minirootfs-"))
        .unwrap();
    fs::copy(mirror.join("sha256").join(&base), recipe.join("base.tgz")).unwrap();
    fs::write(recipe.join("check"), SCRIPT).unwrap();
    let yaml = format!(
        "apiVersion: lunikernel/v1
name: real
version: '1'
flavour: alpine
sources:
  base: {{file: base.tgz}}
  check: {{file: check}}
  ours: {{file: ours}}
  theirs: {{file: theirs}}
  packages:
    apk:
      base: base
      repositories: ['file://{at}/theirs', 'file://{at}/ours']
      keys: [ours/tests.rsa.pub]
      packages: [pcre, bash, meta]
  linux:
    deb:
      suite: bookworm
      packages: [linux-image-cloud-amd64]
      without: [initramfs-tools, kmod, linux-base]
rootfs:
  from: [packages]
  files:
    /etc/apk/keys/tests.rsa.pub: {{from: ours/tests.rsa.pub}}
    /etc/apk/repositories: {{content: \"/srv/theirs\\n/srv/ours\\n\"}}
    /srv/base.tgz: {{from: base}}
    /srv/ours: {{from: ours}}
    /srv/theirs: {{from: theirs}}
    /usr/bin/check: {{from: check, mode: '0755'}}
  services:
    check:
      command: [/usr/bin/check]
kernel: {{from: linux, modules: []}}
boot: {{min_memory_mib: 512}}
",
        at = recipe.display()
    );
    fs::write(recipe.join("recipe.yaml"), yaml).unwrap();
    lock_kernel(&recipe);
    let luni = |arguments: &[&str]| {
        let mut command = hello::luni(&folder.path().join("cache"));
        command.args(["--offline", "--mirror", &debian]);
        command.args(arguments).output().unwrap()
    };
    let at = recipe.display().to_string();
    let zip = folder.path().join("real.luni.zip").display().to_string();
    for arguments in [vec!["lock", &at], vec!["build", &at, "-o", &zip]] {
        let output = luni(&arguments);
        assert!(output.status.success(), "{}", transcript(&output));
    }
    let ran = luni(&["run", "--accel", "tcg", "--expect", "real: all done", &zip]);
    let said = transcript(&ran);
    assert_eq!(ran.status.code(), Some(0), "{said}");
    assert!(!said.contains("real: failed"), "{said}");
    let checks = SCRIPT
        .lines()
        .filter_map(|line| line.strip_prefix("check \""));
    let checks = checks.map(|rest| rest.split('"').next().unwrap());
    for check in checks {
        assert!(
            said.contains(&format!("real: ok {check}")),
            "{check}: {said}"
        );
    }
    let lock = fs::read_to_string(recipe.join("recipe.lock")).unwrap();
    assert_eq!(
        listed_by_apk(&said),
        locked(&lock, &base_database(&mirror, &base))
    );
}
