//! Alpine through the binary: real packages over a real base, and a repository of our own.

mod support;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use lunikernel_builder::assemble::archive;
use lunikernel_cache::Rootfs;
use lunikernel_cache::artefact::{Artefact, INITRAMFS};
use lunikernel_testing::apk::{self as testing, Apk};
use lunikernel_testing::left_out;
use support::server::{Server, respond};
use support::{hello, project, transcript};

/// The upstream that the recipe names.
const UPSTREAM: &str = "http://dl-cdn.alpinelinux.org/alpine/v3.7/main/x86_64/";

/// The mirror with real artefacts, as a folder.
fn artefacts(name: &str) -> Option<PathBuf> {
    let mirror = std::env::var_os("LUNI_TEST_MIRROR").map(PathBuf::from);
    if mirror.is_none() {
        left_out(name, "LUNI_TEST_MIRROR names no mirror with real artefacts");
    }
    mirror
}

/// What it has, by name and origin.
fn listed(mirror: &Path) -> BTreeMap<(String, String), String> {
    let list = fs::read_to_string(mirror.join("INDEX.tsv")).unwrap();
    list.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [hex, _, name, from] = fields[..] else {
                return None;
            };
            Some(((name.to_owned(), from.to_owned()), hex.to_owned()))
        })
        .collect()
}

/// A proxy that answers for the upstream with what the mirror has of it.
fn upstream(mirror: &Path) -> Server {
    let (listed, mirror) = (listed(mirror), mirror.to_owned());
    Server::start(move |url, stream| {
        let name = url.strip_prefix(UPSTREAM).unwrap_or_default();
        let name = match name {
            "APKINDEX.tar.gz" => "v3.7-main-APKINDEX.tar.gz",
            name => name,
        };
        let from = "alpine v3.7 main x86_64".to_owned();
        match listed.get(&(name.to_owned(), from)) {
            Some(hex) => {
                let bytes = fs::read(mirror.join("sha256").join(hex))?;
                respond(stream, "200 OK", &bytes)
            }
            None => respond(stream, "404 Not Found", b"no such package\n"),
        }
    })
}

fn has_qemu(name: &str) -> bool {
    let qemu = Command::new("qemu-system-x86_64").arg("--version").output();
    if qemu.is_err() {
        left_out(name, "qemu-system-x86_64 is not installed");
    }
    qemu.is_ok()
}

/// A copy of the recipe `tests/alpine/bash`.
fn bash(folder: &Path) -> PathBuf {
    let to = folder.join("recipe");
    fs::create_dir_all(&to).unwrap();
    for file in ["recipe.yaml", "recipe.lock"] {
        fs::copy(project("tests/alpine/bash").join(file), to.join(file)).unwrap();
    }
    to
}

#[test]
fn bash_is_locked_through_its_signed_index() {
    let name = "alpine::bash_is_locked_through_its_signed_index";
    let Some(mirror) = artefacts(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let recipe = bash(folder.path());
    let proxy = upstream(&mirror);
    let lock = |more: &[&str]| {
        hello::luni(&folder.path().join("cache"))
            .env("http_proxy", proxy.url())
            .args(["--mirror", &format!("file://{}", mirror.display()), "lock"])
            .arg(&recipe)
            .args(more)
            .output()
            .unwrap()
    };
    // The base is pinned by the recipe, and so are the packages by the index.
    let text = fs::read_to_string(recipe.join("recipe.lock")).unwrap();
    let without = |text: &str| {
        let begin = text.find("  alpine:\n").unwrap();
        let end = text.find("  linux:\n").unwrap();
        format!("{}{}", &text[..begin], &text[end..])
    };
    fs::write(recipe.join("recipe.lock"), without(&text)).unwrap();
    let preview = lock(&["--dry-run"]);
    assert!(preview.status.success(), "{}", transcript(&preview));
    let said = transcript(&preview);
    assert!(said.contains("+ alpine: bash 4.4.12-r2"), "{said}");
    assert!(
        proxy
            .asked()
            .iter()
            .all(|path| path.ends_with("APKINDEX.tar.gz"))
    );
    let unchanged = fs::read_to_string(recipe.join("recipe.lock")).unwrap();
    assert_eq!(unchanged, without(&text));
    let locked = lock(&[]);
    assert!(locked.status.success(), "{}", transcript(&locked));
    assert_eq!(
        fs::read_to_string(recipe.join("recipe.lock")).unwrap(),
        text
    );
    // nginx of that release wants a library that cannot be had.
    let yaml = fs::read_to_string(recipe.join("recipe.yaml")).unwrap();
    let yaml = yaml.replace("packages: [bash, pcre]", "packages: [nginx]");
    fs::write(recipe.join("recipe.yaml"), yaml).unwrap();
    let refused = lock(&[]);
    let said = transcript(&refused);
    assert_eq!(refused.status.code(), Some(5), "{said}");
    for expected in [
        "could not get the package libressl2.6-libcrypto 2.6.3-r0",
        "needed by nginx 1.12.2-r3: `so:libcrypto.so.42`",
        "needed by the recipe: `nginx`",
        "hint: ",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}

/// `tests/alpine/bash`, built; `None` where that cannot be here.
fn built(name: &str, folder: &Path) -> Option<(PathBuf, [String; 2])> {
    let mirror = artefacts(name)?;
    let debian = hello::mirror(name)?;
    let mirrors = [debian, format!("file://{}", mirror.display())];
    let zip = folder.join("bash.luni.zip");
    let build = hello::luni(&folder.join("cache"))
        .args([
            "--offline",
            "--mirror",
            &mirrors[0],
            "--mirror",
            &mirrors[1],
        ])
        .arg("build")
        .arg(project("tests/alpine/bash"))
        .arg("-o")
        .arg(&zip)
        .output()
        .unwrap();
    let golden = fs::read_to_string(project("tests/golden/alpine-bash.sha256")).unwrap();
    let golden = golden.split_whitespace().next().unwrap();
    assert_eq!(hello::built_digest(&build), golden);
    Some((zip, mirrors))
}

#[test]
fn bash_boots_and_apk_knows_what_is_installed() {
    let name = "alpine::bash_boots_and_apk_knows_what_is_installed";
    let folder = tempfile::tempdir().unwrap();
    if !has_qemu(name) {
        return;
    }
    let Some((zip, _)) = built(name, folder.path()) else {
        return;
    };
    let ran = hello::luni(&folder.path().join("cache"))
        .args(["run", "--accel", "tcg", "--expect", "told all"])
        .arg(zip)
        .output()
        .unwrap();
    let said = transcript(&ran);
    assert_eq!(ran.status.code(), Some(0), "{said}");
    for expected in [
        // 14 packages of the base and 7 others.
        "bash 4.4.12 knows 21 packages",
        // What its post-install script did, and busybox's trigger.
        "shells: 1, links: /bin/busybox",
        "/bin/bash is owned by bash-4.4.12-r2",
        // No file of a package is other than the database says.
        "changed files: 0",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn bash_is_the_same_in_all_surroundings() {
    let name = "alpine::bash_is_the_same_in_all_surroundings";
    let folder = tempfile::tempdir().unwrap();
    let Some((_, mirrors)) = built(name, folder.path()) else {
        return;
    };
    let verified = hello::luni(&folder.path().join("cache"))
        .args([
            "--offline",
            "--mirror",
            &mirrors[0],
            "--mirror",
            &mirrors[1],
        ])
        .arg("verify-reproducibility")
        .arg(project("tests/alpine/bash"))
        .output()
        .unwrap();
    let said = transcript(&verified);
    assert_eq!(verified.status.code(), Some(0), "{said}");
    assert!(said.contains("GOOD"), "{said}");
}

/// A recipe over the minirootfs of the mirror with packages from a repository of ours.
fn own(folder: &Path, mirror: &Path, packages: &[Apk], wanted: &str, more: &str) -> PathBuf {
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
const KERNEL: &str = "  linux:
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
fn lock_kernel(recipe: &Path) {
    let lock = fs::read_to_string(hello::recipe().join("recipe.lock")).unwrap();
    let head = lock.find("sources:\n").unwrap() + "sources:\n".len();
    let begin = lock.find("  linux:\n").unwrap();
    let end = lock.find("  toolchain:\n").unwrap();
    let text = format!("{}{}", &lock[..head], &lock[begin..end]);
    fs::write(recipe.join("recipe.lock"), text).unwrap();
}

/// What is in the initramfs of an artefact.
fn root_of(zip: &Path) -> Rootfs {
    let artefact = Artefact::open(zip).unwrap();
    let mut bytes = Vec::new();
    let mut entry = artefact.entry(INITRAMFS).unwrap();
    entry.read_to_end(&mut bytes).unwrap();
    archive::fuzz(&bytes).unwrap().unwrap()
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
    let name = "alpine::a_package_of_our_own_serves_what_its_scripts_left";
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
    hello::built_digest(&built);
    let root = root_of(&zip);
    let meta = |path: &str| {
        let node = root
            .get(path)
            .unwrap_or_else(|| panic!("{path} is not there"));
        (node.mode, node.uid, node.gid)
    };
    assert_eq!(meta("srv/www/secret"), (0o4750, 82, 82));
    assert_eq!(meta("srv/www/triggered"), (0o644, 0, 0));
    assert_eq!(meta("etc/shadow"), (0o640, 0, 42));
    assert!(root.get("srv/www/placeholder").is_none());
    assert!(root.get(".luni").is_none() && root.get("build").is_none());
    if has_qemu(name) {
        let line = "page: serving beside www:www-data:4750";
        let page = support::booted::page(folder.path(), &zip, line);
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

#[test]
fn the_template_is_locked_and_built() {
    let name = "alpine::the_template_is_locked_and_built";
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
    let mut vmlinuz = vec![0; 0x202];
    vmlinuz.extend_from_slice(b"HdrS");
    let packages = [
        Apk::new("busybox-openrc", "1-r0").depends("openrc"),
        Apk::new("linux-virt", "6.12-r0")
            .depends("initramfs-generator")
            .file("boot/", 0o755, "")
            .file("boot/vmlinuz-virt", 0o644, vmlinuz),
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
