//! Modes and owners as scripts leave them: those that they would have where apk itself runs
//! the scripts, as root. What is expected here is what apk-tools 2.14.4 left.

use std::path::Path;
use std::process::Output;

use fs_err as fs;
use lunikernel_cache::Rootfs;
use lunikernel_testing::apk::Apk;

use super::artefacts;
use super::own::{KERNEL, lock_kernel, own};
use super::support::{hello, root_of, transcript};

/// Installs `packages` for `wanted`: what `luni build` said, and the root where it did well.
/// `None` where the test `name` is left out.
fn installed(name: &str, packages: &[Apk], wanted: &str) -> Option<(Output, Option<Rootfs>)> {
    let mirror = artefacts(name)?;
    let debian = hello::mirror(name)?;
    let folder = tempfile::tempdir().unwrap();
    // Without modules, which take most of a build's time.
    let kernel = KERNEL
        .replace("[cloud]", "[]")
        .replace("boot: {net: true}\n", "");
    let recipe = own(folder.path(), &mirror, packages, wanted, &kernel);
    lock_kernel(&recipe);
    let zip = folder.path().join("own.luni.zip");
    let run = |arguments: &[&str], more: &[&Path]| {
        let mut command = hello::luni(&folder.path().join("cache"));
        command.args(["--offline", "--mirror", &debian]);
        command.args(arguments).arg(&recipe).args(more);
        command.output().unwrap()
    };
    let locked = run(&["lock"], &[]);
    assert!(locked.status.success(), "{}", transcript(&locked));
    let built = run(&["build"], &[Path::new("-o"), &zip]);
    let root = built.status.success().then(|| root_of(&zip));
    if root.is_some() {
        fs::remove_file(&zip).unwrap();
    }
    Some((built, root))
}

/// Asserts the mode and owner of each path.
fn assert_left(root: &Rootfs, expected: &[(&str, u32, u32, u32)]) {
    let left: Vec<_> = expected
        .iter()
        .map(|(path, ..)| match root.get(path) {
            Some(node) => format!("{path} {:o} {}:{}", node.mode, node.uid, node.gid),
            None => format!("{path} is not there"),
        })
        .collect();
    let expected = expected
        .iter()
        .map(|(path, mode, uid, gid)| format!("{path} {mode:o} {uid}:{gid}"));
    assert_eq!(left, expected.collect::<Vec<_>>());
}

#[test]
fn what_is_private_stays_private() {
    let name = "alpine::scripts::what_is_private_stays_private";
    let package = Apk::new("app", "1-r0")
        .file("etc/", 0o755, "")
        .file("etc/app/", 0o755, "")
        .file("etc/app/closed/", 0o700, "")
        .file("etc/app/closed/in", 0o400, "in\n")
        .file("etc/app/moved", 0o600, "moved\n")
        .file("etc/app/copied", 0o600, "copied\n")
        .file("etc/app/linked", 0o640, "linked\n")
        .file("etc/app/opened", 0o600, "opened\n")
        .file("etc/app/edited", 0o600, "NAME\n")
        .file("usr/", 0o755, "")
        .file("usr/bin/", 0o755, "")
        .file("usr/bin/suid-a", 0o4755, "a\n")
        .file("usr/bin/suid-b", 0o4755, "b\n")
        .script(
            ".post-install",
            "#!/bin/sh -e\nadduser -S -D -H web 2>/dev/null\ncd etc/app\n\
             mv moved key\ncp -a copied copy\nln linked link\nchmod 644 opened\n\
             sed -i s/NAME/x/ edited\nmv closed shut\ncat shut/in > /dev/null\n\
             echo more >> linked\necho secret > made\nchmod 0 made\n\
             cd /usr/bin\nmv suid-a a\ncp -p suid-b b\n",
        );
    let Some((built, root)) = installed(name, &[package], "app") else {
        return;
    };
    let root = root.unwrap_or_else(|| panic!("{}", transcript(&built)));
    assert_left(
        &root,
        &[
            ("etc/shadow", 0o640, 0, 42),
            ("etc/shadow-", 0o640, 0, 42),
            ("etc/app/key", 0o600, 0, 0),
            ("etc/app/copied", 0o600, 0, 0),
            ("etc/app/copy", 0o600, 0, 0),
            ("etc/app/linked", 0o640, 0, 0),
            ("etc/app/link", 0o640, 0, 0),
            ("etc/app/opened", 0o644, 0, 0),
            ("etc/app/edited", 0o600, 0, 0),
            ("etc/app/made", 0, 0, 0),
            ("etc/app/shut", 0o700, 0, 0),
            ("etc/app/shut/in", 0o400, 0, 0),
            ("usr/bin/a", 0o4755, 0, 0),
            ("usr/bin/b", 0o4755, 0, 0),
            ("usr/bin/suid-b", 0o4755, 0, 0),
        ],
    );
    assert!(root.get("etc/app/moved").is_none() && root.get("usr/bin/suid-a").is_none());
}

#[test]
fn what_is_given_to_others_is_theirs() {
    let name = "alpine::scripts::what_is_given_to_others_is_theirs";
    let package = Apk::new("web", "1-r0")
        .file("srv/", 0o755, "")
        .file("srv/old", 0o4755, "old\n")
        .owned("srv/old", ("games", 35), ("users", 100))
        .file("srv/spool/", 0o750, "")
        .owned("srv/spool/", ("web", 185), ("web", 183))
        .file("srv/owned", 0o2640, "owned\n")
        .owned("srv/owned", ("web", 185), ("web", 183))
        .script(
            ".pre-install",
            "#!/bin/sh\naddgroup -S web 2>/dev/null\n\
             adduser -S -D -h /var/lib/web -s /bin/sh -G web -g web web 2>/dev/null\nexit 0\n",
        )
        .script(
            ".post-install",
            "#!/bin/sh -e\ninstall -d -o web -g web -m 750 /var/log/web\n\
             cd /srv\n[ \"$(stat -c %u:%g:%a old)\" = 35:100:4755 ]\n\
             for file in mine by-path by-busybox gone linked tree tree/in; do\n\
             case $file in tree) mkdir tree ;; *) echo $file > $file ;; esac\ndone\n\
             chown web:web mine\nchmod 4750 mine\n/bin/chown web by-path\n\
             busybox chgrp web by-busybox\nchown web gone\nrm gone\necho new > made\n\
             ln -s linked link\nchown web link\nchown -h web:web link\nchown -R 7:8 tree\n\
             [ \"$(stat -c %U:%G /srv/mine)\" = web:web ]\n[ \"$(find . -type f -user web | wc -l)\" = 4 ]\n\
             cp -a mine copy\ncp -p mine other\nmv other moved\ncp mine plain\n\
             tar -cf packed.tar mine\nmkdir unpacked\ntar -C unpacked -xf packed.tar\n\
             cp -a owned owned2\nmv old older\nchown 0:0 by-path\n\
             sed -i s/x/y/ mine\n! chown nobodys mine 2>/dev/null\n",
        );
    let Some((built, root)) = installed(name, &[package], "web") else {
        return;
    };
    let root = root.unwrap_or_else(|| panic!("{}", transcript(&built)));
    assert_left(
        &root,
        &[
            ("var/lib/web", 0o2755, 100, 101),
            ("var/log/web", 0o750, 100, 101),
            ("srv/mine", 0o750, 100, 101),
            ("srv/by-path", 0o644, 0, 0),
            ("srv/by-busybox", 0o644, 0, 101),
            ("srv/made", 0o644, 0, 0),
            ("srv/linked", 0o644, 100, 0),
            ("srv/link", 0o777, 100, 101),
            ("srv/tree", 0o755, 7, 8),
            ("srv/tree/in", 0o644, 7, 8),
            ("srv/copy", 0o4750, 100, 101),
            ("srv/moved", 0o4750, 100, 101),
            ("srv/unpacked/mine", 0o4750, 100, 101),
            ("srv/older", 0o4755, 35, 100),
            ("srv/spool", 0o750, 100, 101),
            ("srv/owned", 0o2640, 100, 101),
            ("srv/owned2", 0o2640, 100, 101),
            // apk leaves 4750 there: without capabilities the bit goes when it is written to.
            ("srv/plain", 0o750, 0, 0),
            ("etc/shadow", 0o640, 0, 42),
            ("etc/shadow-", 0o640, 0, 42),
        ],
    );
}
