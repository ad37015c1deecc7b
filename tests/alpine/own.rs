//! Packages from a repository of our own: their scripts and triggers, run and failing.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use lunikernel_cache::artefact::{Artefact, INITRAMFS};
use lunikernel_testing::apk::{self as testing, Apk};
use serde_json::Value;

use super::support::{booted, bzimage, hello, root_of, transcript};
use super::{artefacts, has_qemu, listed};

/// A recipe over the minirootfs of the mirror with packages from a repository of ours.
pub(super) fn own(
    folder: &Path,
    mirror: &Path,
    packages: &[Apk],
    wanted: &str,
    more: &str,
) -> PathBuf {
    let recipe = folder.join("own");
    fs::create_dir_all(&recipe).unwrap();
    testing::repository(&recipe, packages);
    let hex = listed(mirror)
        .into_iter()
        .find_map(|((name, _), hex)| {
            (name == "alpine-minirootfs-3.20.3-x86_64.tar.gz").then_some(hex)
        })
        .unwrap();
    let yaml = format!(
        "apiVersion: lunikernel/v1
name: own
version: '1'
flavour: alpine
sources:
  minirootfs:
    url:
      url: file://{mirror}/sha256/{hex}
  packages:
    apk:
      base: minirootfs
      repositories: ['file://{repository}']
      keys: [tests.rsa.pub]
      packages: [{wanted}]
{more}",
        mirror = mirror.display(),
        repository = recipe.display(),
    );
    fs::write(recipe.join("recipe.yaml"), yaml).unwrap();
    recipe
}

/// The rest of such a recipe: the kernel of hello's lock, and what is in the root.
pub(super) const KERNEL: &str = "  linux:
    deb:
      suite: bookworm
      packages: [linux-image-cloud-amd64]
      without: [initramfs-tools, kmod, linux-base]
rootfs:
  from: [packages]
kernel: {from: linux, modules: [cloud]}
boot: {net: true}
";

/// Locks the kernel as hello has it, so that no package index of Debian is needed.
pub(super) fn lock_kernel(recipe: &Path) {
    let lock = fs::read_to_string(hello::recipe().join("recipe.lock")).unwrap();
    let head = lock.find("sources:\n").unwrap() + "sources:\n".len();
    let begin = lock.find("  linux:\n").unwrap();
    let end = lock.find("  toolchain:\n").unwrap();
    let text = format!("{}{}", &lock[..head], &lock[begin..end]);
    fs::write(recipe.join("recipe.lock"), text).unwrap();
}

fn page() -> Vec<Apk> {
    vec![
        Apk::new("page", "1.0-r0")
            .depends("page-files cmd:httpd")
            .file("etc/", 0o755, "")
            .file("etc/luni/", 0o755, "")
            .file("etc/luni/services/", 0o755, "")
            .file(
                "etc/luni/services/page",
                0o755,
                "#!/bin/sh\necho \"page: serving beside $(stat -c %U:%G:%a /srv/www/secret)\"\n\
                 exec nc -lk -p 80 -e /usr/sbin/httpd\n",
            )
            .script(
                ".pre-install",
                "#!/bin/sh\naddgroup -S -g 82 www-data 2>/dev/null\n\
                 adduser -S -D -H -u 82 -h /srv/www -s /sbin/nologin -G www-data www 2>/dev/null\nexit 0\n",
            )
            .script(
                ".post-install",
                "#!/bin/sh -e\necho secret > /srv/www/secret\nchown www:www-data srv/www/secret\n\
                 chmod 4750 srv/www/secret\nrm /srv/www/placeholder\n\
                 sed -i s/NAME/$1/ /srv/www/index.html\n",
            ),
        Apk::new("page-files", "2.0-r1")
            .provides("page-content=2.0")
            .file("srv/", 0o755, "")
            .file("srv/www/", 0o755, "")
            .file("srv/www/index.html", 0o644, "A page of version NAME\n")
            .file("srv/www/inbox/", 0o750, "")
            .owned("srv/www/inbox/", ("www", 185), ("www-data", 183))
            .file("srv/www/placeholder", 0o644, "")
            .line("triggers = /srv/*")
            .script(".trigger", "#!/bin/sh\necho \"$@\" > /srv/www/triggered\n"),
        Apk::new("server", "1.0-r0").provides("cmd:httpd=1").file(
            "usr/sbin/httpd",
            0o755,
            "#!/bin/sh\nwhile read -r line && [ \"$line\" != \"$(printf '\\r')\" ]; do :; done\n\
             printf 'HTTP/1.0 200 OK\\r\\n\\r\\n'\ncat /srv/www/index.html\n",
        ),
    ]
}

#[test]
fn a_package_of_our_own_serves_what_its_scripts_left() {
    let name = "alpine::own::a_package_of_our_own_serves_what_its_scripts_left";
    let Some(mirror) = artefacts(name) else {
        return;
    };
    let Some(debian) = hello::mirror(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let recipe = own(folder.path(), &mirror, &page(), "page", KERNEL);
    lock_kernel(&recipe);
    let luni = |verb: &str| {
        let mut command = hello::luni(&folder.path().join("cache"));
        command
            .args(["--offline", "--mirror", &debian, verb])
            .arg(&recipe);
        command
    };
    let locked = luni("lock").output().unwrap();
    assert!(locked.status.success(), "{}", transcript(&locked));
    let zip = folder.path().join("own.luni.zip");
    let built = luni("build").arg("-o").arg(&zip).output().unwrap();
    let digest = hello::built_digest(&built);
    // The key is not in it, and not needed: what is locked is known by its hashes.
    let again = hello::luni(&folder.path().join("cache"))
        .args(["--offline", "--mirror", &debian, "build"])
        .arg(&zip)
        .arg("-o")
        .arg(folder.path().join("again.luni.zip"))
        .output()
        .unwrap();
    assert_eq!(hello::built_digest(&again), digest);
    assert!(transcript(&again).contains("has the same bytes"));
    let root = root_of(&zip);
    let meta = |path: &str| {
        let node = root
            .get(path)
            .unwrap_or_else(|| panic!("{path} is not there"));
        (node.mode, node.uid, node.gid)
    };
    assert_eq!(meta("srv/www/secret"), (0o4750, 82, 82));
    assert_eq!(meta("srv/www/triggered"), (0o644, 0, 0));
    // By the names in the package, of which page's script makes the user.
    assert_eq!(meta("srv/www/inbox"), (0o750, 82, 82));
    assert_eq!(meta("etc/shadow"), (0o640, 0, 42));
    assert!(root.get("srv/www/placeholder").is_none());
    assert!(root.get(".luni").is_none() && root.get("build").is_none());
    if has_qemu(name) {
        let line = "page: serving beside www:www-data:4750";
        let page = booted::page(folder.path(), &zip, line);
        assert!(page.ends_with("A page of version 1.0-r0\n"), "{page}");
    }

    // A script that fails is named, with what it printed.
    let bad =
        vec![Apk::new("bad", "1-r0").script(".post-install", "#!/bin/sh\necho alas\nexit 7\n")];
    let recipe = own(folder.path(), &mirror, &bad, "bad", KERNEL);
    let run = |verb: &str| {
        let mut command = hello::luni(&folder.path().join("cache"));
        command
            .args(["--offline", "--mirror", &debian, verb])
            .arg(&recipe);
        command.output().unwrap()
    };
    let locked = run("lock");
    assert!(locked.status.success(), "{}", transcript(&locked));
    let said = transcript(&run("build"));
    assert!(
        said.contains("the .post-install script of bad 1-r0 failed: it ended with exit code 7"),
        "{said}"
    );
    assert!(
        said.contains("alas") && said.contains("`scripts: skip`"),
        "{said}"
    );
    let yaml = fs::read_to_string(recipe.join("recipe.yaml")).unwrap();
    let yaml = yaml.replace("packages: [bad]", "packages: [bad]\n      scripts: skip");
    fs::write(recipe.join("recipe.yaml"), yaml).unwrap();
    assert!(run("lock").status.success());
    hello::built_digest(&run("build"));
}

/// Puts other bytes in place of a blob, which nobody may write to.
fn replace(blob: &Path, bytes: &[u8]) {
    fs::remove_file(blob).unwrap();
    fs::write(blob, bytes).unwrap();
}

/// A package whose trigger says what it is told, and one whose script asks for `asked`.
fn watching(asked: &str) -> Vec<Apk> {
    vec![
        Apk::new("watcher", "1.0-r0")
            .file("srv/", 0o755, "")
            .file("srv/www/", 0o755, "")
            .file("srv/www/index.html", 0o644, "")
            .line("triggers = /etc/apk/* /srv/[a-w]?? +/etc/* +/srv")
            .script(".trigger", "#!/bin/sh\necho \"$@\" > /srv/www/told\n"),
        Apk::new("asking", "1.0-r0").script(
            ".post-install",
            &format!("#!/bin/sh\n{asked} 2>/dev/null\nexit 0\n"),
        ),
    ]
}

#[test]
fn triggers_are_told_of_folders_and_what_is_unpacked_is_remembered() {
    let name = "alpine::own::triggers_are_told_of_folders_and_what_is_unpacked_is_remembered";
    let Some(mirror) = artefacts(name) else {
        return;
    };
    let Some(debian) = hello::mirror(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let run = |verb: &str, asked: &str| {
        let packages = watching(asked);
        let recipe = own(folder.path(), &mirror, &packages, "watcher, asking", KERNEL);
        if verb == "lock" {
            lock_kernel(&recipe);
        }
        let mut command = hello::luni(&folder.path().join("cache"));
        command
            .args(["--offline", "--mirror", &debian, verb])
            .arg(&recipe);
        command
    };
    let done = |asked: &str| {
        let locked = run("lock", asked).output().unwrap();
        assert!(locked.status.success(), "{}", transcript(&locked));
        let zip = folder.path().join("own.luni.zip");
        run("build", asked).arg("-o").arg(&zip).output().unwrap()
    };
    let built = done("true");
    hello::built_digest(&built);
    let zip = folder.path().join("own.luni.zip");
    let root = root_of(&zip);
    assert!(root.get("etc/apk/keys").is_some() && root.get("srv/www/told").is_some());
    let artefact = Artefact::open(&zip).unwrap();
    let mut initramfs = Vec::new();
    let mut entry = artefact.entry(INITRAMFS).unwrap();
    entry.read_to_end(&mut initramfs).unwrap();
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(&*initramfs)
        .read_to_end(&mut plain)
        .unwrap();
    let told = String::from_utf8_lossy(&plain);
    // Folders of the base, whether anything in them is new or not; none of `+/etc/*`.
    let expected = "/etc/apk/keys /etc/apk/protected_paths.d /srv /srv/www\n";
    assert!(
        told.contains(expected),
        "the trigger was told other folders"
    );

    // What was in a package is remembered: another recipe is built of it, although the
    // package itself could not be unpacked any more.
    let recipe = folder.path().join("own");
    let lock = fs::read_to_string(recipe.join("recipe.lock")).unwrap();
    let watcher = &lock[lock.find("name: watcher").unwrap()..];
    let begin = watcher.find("sha256:").unwrap();
    let hex = watcher[begin..]
        .split(|c: char| !c.is_ascii_hexdigit())
        .find(|word| word.len() == 64)
        .unwrap();
    let blob = folder
        .path()
        .join(format!("cache/cas-v1/{}/{hex}", &hex[..2]));
    let honest = fs::read(&blob).unwrap();
    let mut broken = honest.clone();
    let middle = broken.len() / 2;
    broken[middle] ^= 1;
    replace(&blob, &broken);
    let yaml = fs::read_to_string(recipe.join("recipe.yaml")).unwrap();
    fs::write(
        recipe.join("recipe.yaml"),
        yaml.replace("boot: {net: true}", "boot: {net: false}"),
    )
    .unwrap();
    let mut again = hello::luni(&folder.path().join("cache"));
    again.args(["--offline", "--mirror", &debian, "build"]);
    let again = again.arg(&recipe).arg("-o").arg(&zip).output().unwrap();
    hello::built_digest(&again);
    replace(&blob, &honest);

    // What a script asks for and cannot be kept is told, though the script goes on.
    let said = transcript(&done("mknod /srv/www/null c 1 3"));
    let expected = "the .post-install script of asking 1.0-r0 asks for `mknod /srv/www/null c 1 3`";
    assert!(said.contains(expected), "{said}");
    let said = transcript(&done("chown 7:8 /"));
    assert!(said.contains("`/` is 7:8's, and must be root's"), "{said}");
}

const VARIED: &str = "umask,time-zone";

/// Verifies a recipe with a package of our own that has this script: the exit code and
/// the report. `None` where the test `name` is left out.
fn verified_with(name: &str, script: &str, varied: &str) -> Option<(Option<i32>, Value)> {
    let mirror = artefacts(name)?;
    let debian = hello::mirror(name)?;
    let folder = tempfile::tempdir().unwrap();
    let script = format!("#!/bin/sh\n{script}\n");
    let touchy = vec![Apk::new("touchy", "1-r0").script(".post-install", &script)];
    // Without modules, which take most of a build's time.
    let kernel = KERNEL
        .replace("[cloud]", "[]")
        .replace("boot: {net: true}\n", "");
    let recipe = own(folder.path(), &mirror, &touchy, "touchy", &kernel);
    lock_kernel(&recipe);
    let run = |arguments: &[&str]| {
        let mut command = hello::luni(&folder.path().join("cache"));
        command.args(["--offline", "--mirror", &debian]);
        command.args(arguments).arg(&recipe).output().unwrap()
    };
    let locked = run(&["lock"]);
    assert!(locked.status.success(), "{}", transcript(&locked));
    let output = run(&["verify", "--json", "--vary", varied]);
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|_| panic!("{}", transcript(&output)));
    Some((output.status.code(), report))
}

#[test]
fn a_script_that_fails_in_a_round_is_named() {
    let name = "alpine::own::a_script_that_fails_in_a_round_is_named";
    let Some((code, report)) = verified_with(name, "test $TZ = UTC || exit 7", VARIED) else {
        return;
    };
    assert_eq!(code, Some(11), "{report:#}");
    let failure = &report["failure"];
    assert_eq!(failure["round"], 2, "{report:#}");
    let what = "the .post-install script of touchy 1-r0";
    assert_eq!(failure["script"], what);
    let message = format!("{what} failed: it ended with exit code 7");
    assert_eq!(failure["message"], message);
    assert!(
        failure["hint"]
            .as_str()
            .unwrap()
            .contains("`scripts: skip`")
    );
}

#[test]
fn a_script_that_fails_in_a_trial_is_named_and_ends_no_search() {
    let name = "alpine::own::a_script_that_fails_in_a_trial_is_named_and_ends_no_search";
    // Only where the one is varied and the other is not.
    let script = "test $(umask)$TZ != 0002UTC || exit 7\nmkdir -p /srv\necho $TZ > /srv/zone";
    let Some((code, report)) = verified_with(name, script, VARIED) else {
        return;
    };
    assert_eq!(code, Some(10), "{report:#}");
    assert_eq!(report["causes"][0]["class"], "time-zone", "{report:#}");
    let trials = report["bisection"]["trials"].as_array().unwrap();
    let failed: Vec<_> = trials
        .iter()
        .filter(|trial| trial["failed"].is_string())
        .collect();
    assert!(!failed.is_empty(), "{report:#}");
    for trial in failed {
        assert_eq!(trial["varied"], serde_json::json!(["umask"]), "{report:#}");
        assert!(trial["artefact"].is_null());
        let text = trial["failed"].as_str().unwrap();
        assert!(
            text.starts_with("the .post-install script of touchy 1-r0 failed"),
            "{text}"
        );
    }
}

#[test]
fn users_that_scripts_make_are_made_on_no_day() {
    let name = "alpine::own::users_that_scripts_make_are_made_on_no_day";
    let script = "addgroup -S web\nadduser -S -D -H -G web web\n\
                  case $(cat /etc/shadow) in *web:!:[1-9]*) ;; *) exit 7 ;; esac";
    let Some((code, report)) = verified_with(name, script, "clock") else {
        return;
    };
    assert_eq!(code, Some(0), "{report:#}");
}

#[test]
fn the_template_is_locked_and_built() {
    let name = "alpine::own::the_template_is_locked_and_built";
    let Some(mirror) = artefacts(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let luni = |arguments: &[&str]| {
        let mut command = hello::luni(&folder.path().join("cache"));
        command.current_dir(folder.path()).arg("--offline");
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", transcript(&output));
    };
    luni(&["new", "web", "--flavour", "alpine"]);
    // The packages that it names, under their names alone.
    let packages = [
        Apk::new("busybox-openrc", "1-r0").depends("openrc"),
        Apk::new("linux-virt", "6.12-r0")
            .depends("initramfs-generator")
            .file("boot/", 0o755, "")
            .file("boot/vmlinuz-virt", 0o644, bzimage()),
        Apk::new("openrc", "1-r0").file("sbin/", 0o755, "").file(
            "sbin/openrc",
            0o755,
            "#!/bin/sh\n",
        ),
    ];
    let recipe = folder.path().join("web");
    testing::repository(&recipe, &packages);
    let listed = listed(&mirror);
    let minirootfs = |(name, _): &(String, String)| name.starts_with("alpine-minirootfs-");
    let (_, hex) = listed.iter().find(|(name, _)| minirootfs(name)).unwrap();
    let minirootfs = format!("file://{}/sha256/{hex}", mirror.display());
    let yaml = fs::read_to_string(recipe.join("recipe.yaml")).unwrap();
    let lines = yaml.lines().map(|line| match line.trim() {
        text if text.starts_with("url: https") => format!("      url: {minirootfs}"),
        text if text.starts_with("sha256: ") => format!("      sha256: {hex}"),
        text if text.starts_with("- https") => format!("        - file://{}", recipe.display()),
        "base: minirootfs" => format!("{line}\n      keys: [tests.rsa.pub]"),
        _ => line.to_owned(),
    });
    let yaml: Vec<String> = lines.collect();
    fs::write(recipe.join("recipe.yaml"), yaml.join("\n")).unwrap();
    luni(&["lock", "web"]);
    luni(&["build", "web"]);
    let root = root_of(&folder.path().join("web.luni.zip"));
    for path in [
        "sbin/openrc",
        "etc/init.d/clock",
        "etc/runlevels/default/clock",
    ] {
        assert!(root.get(path).is_some(), "{path} is not there");
    }
    assert!(root.get("boot").is_none());
}
