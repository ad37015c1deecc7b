//! The flavour `tinycore`, on real parts of TinyCore: locked from a mirror that the
//! test serves, built by hash, verified, booted.

mod support;

use std::path::{Path, PathBuf};

use fs_err as fs;
use lunikernel_cache::NodeKind;
use lunikernel_testing::{left_out, this_test};
use md5::{Digest as _, Md5};
use support::exported::Site;
use support::overlaid::laid;
use support::small::lock_of;
use support::upstream::World;
use support::{hello, luni, matches, project, root_of, transcript, varied};

/// Where the committed recipes have their extensions from: nowhere, as they are found
/// by their hashes.
const UPSTREAM: &str = "http://tinycore.invalid/8.x/x86_64/tcz/";

/// Core 7.2 in the hashed mirror: its kernel, and its root file system.
const KERNEL: &str = "f2ff49690d7bdab9f1a152a06fbca5fe34a68c702b7525ee285885f008b314d1";
const ROOTFS: &str = "be7b780f85c3cf162afbf8dd91b4d2bc05f70cbdf1fd86db099a6b36ce3bd19b";

/// The extensions that the hashed mirror has, and what each depends on.
const EXTENSIONS: [(&str, &str, &str); 3] = [
    (
        "bash.tcz",
        "466dba0c1751a6eaebc2d88db8c1ef6150e4a82ceb3436a95f6ef29faabd3412",
        "readline.tcz\n",
    ),
    (
        "readline.tcz",
        "4335e214eb20ecfe034ad2ae772509c23dbce67b28cd61932a9e80e0af0f553b",
        "ncurses.tcz\n",
    ),
    (
        "ncurses.tcz",
        "9f43a923d59f565f0333e44e8b93615d282ccfc24b2861e8cb8b97a35177ba97",
        "",
    ),
];

impl World {
    /// A recipe of this release in a folder of its own; `None` where there is no mirror.
    fn of(release: &str) -> Option<Self> {
        let world = Self::empty(&format!("tinycore::{}", this_test()))?;
        let name = format!("tests/tinycore/core-{release}.yaml");
        let recipe = fs::read_to_string(project(&name)).unwrap();
        fs::write(world.path("recipe.yaml"), recipe).unwrap();
        let lock = project(&name).with_extension("lock");
        if let Ok(lock) = fs::read(lock) {
            fs::write(world.path("recipe.lock"), lock).unwrap();
        }
        Some(world)
    }

    /// A mirror of extensions as TinyCore lays it out, with the real extensions; the
    /// recipe's are taken from there now.
    fn upstream(&self) -> PathBuf {
        let upstream = self.extensions();
        let url = format!("file://{}/", upstream.display());
        self.change("recipe.yaml", UPSTREAM, &url);
        upstream
    }

    /// A mirror of extensions as TinyCore lays it out, with the real extensions.
    fn extensions(&self) -> PathBuf {
        let upstream = self.path("tcz");
        fs::create_dir(&upstream).unwrap();
        for (name, sha256, depends) in EXTENSIONS {
            let bytes = fs::read(self.mirror.join("sha256").join(sha256)).unwrap();
            let sum = Md5::digest(&bytes);
            let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
            let put = |ending: &str, bytes: &[u8]| {
                fs::write(upstream.join(format!("{name}{ending}")), bytes).unwrap();
            };
            put(".md5.txt", format!("{sum}  {name}\n").as_bytes());
            put("", &bytes);
            if !depends.is_empty() {
                put(".dep", depends.as_bytes());
            }
        }
        upstream
    }
}

#[track_caller]
fn has_golden_digest(world: &World) {
    let golden = fs::read_to_string(project("tests/golden/tinycore-core.sha256")).unwrap();
    let built = world.succeeds(&["build", "-o", "core.luni.zip"]);
    let digest = built.split_whitespace().next().unwrap_or_default();
    assert_eq!(
        Some(digest),
        golden.split_whitespace().next(),
        "the digest of tests/tinycore/core-7.2.yaml has moved; if that is meant, write the new one \
         into tests/golden/tinycore-core.sha256 and say in the commit message why"
    );
}

/// After a change that was meant: `UPDATE=1 cargo test --test tinycore`.
#[test]
fn the_lock_is_what_a_mirror_of_extensions_gives() {
    let Some(world) = World::of("7.2") else {
        return;
    };
    let upstream = world.upstream();
    world.succeeds(&["lock", "--update"]);
    let lock = fs::read_to_string(world.path("recipe.lock")).unwrap();
    let lock = lock.replace(&format!("file://{}/", upstream.display()), UPSTREAM);
    assert!(matches(&lock, &project("tests/tinycore/core-7.2.lock")));
}

#[test]
fn a_damaged_mirror_of_extensions_is_found_out_when_locking() {
    type Damage<'a> = &'a dyn Fn(&Path);
    let damages: [(Damage<'_>, &[&str]); 5] = [
        (
            &|upstream| {
                let path = upstream.join("readline.tcz");
                let mut bytes = fs::read(&path).unwrap();
                bytes[70_000] ^= 1;
                fs::write(path, bytes).unwrap();
            },
            &["readline.tcz is damaged: expected the MD5", "hint: "],
        ),
        (
            &|upstream| {
                let text = format!("{}  bash.tcz\n", "0".repeat(32));
                fs::write(upstream.join("bash.tcz.md5.txt"), text).unwrap();
            },
            &["bash.tcz is damaged: expected the MD5 0000"],
        ),
        (
            &|upstream| fs::remove_file(upstream.join("ncurses.tcz")).unwrap(),
            &["has no ncurses.tcz, which readline.tcz depends on"],
        ),
        (
            &|upstream| {
                let list = upstream.join("ncurses.tcz.dep");
                fs::write(list, "net-KERNEL.tcz\n").unwrap();
            },
            &["net-KERNEL.tcz, which ncurses.tcz depends on", "kernel: "],
        ),
        (
            &|upstream| {
                let list = upstream.join("bash.tcz.dep");
                fs::write(list, "../readline.tcz\n").unwrap();
            },
            &["bash.tcz.dep has a line that names no extension"],
        ),
    ];
    for (damage, expected) in damages {
        let Some(world) = World::of("7.2") else {
            return;
        };
        let upstream = world.upstream();
        damage(&upstream);
        world.fails(&["lock", "--update"], expected);
    }
}

/// Without its list, an extension depends on nothing; with a cycle, each is there once.
#[test]
fn lists_that_are_missing_or_run_in_circles_are_taken_as_they_are() {
    let Some(world) = World::of("7.2") else {
        return;
    };
    let upstream = world.upstream();
    fs::write(upstream.join("ncurses.tcz.dep"), "bash.tcz\n").unwrap();
    world.succeeds(&["lock", "--update"]);
    let lock = fs::read_to_string(world.path("recipe.lock")).unwrap();
    let order: Vec<_> = lock
        .lines()
        .filter(|line| line.contains("- name:"))
        .collect();
    assert_eq!(order.len(), 3, "{lock}");
    assert!(order[2].contains("bash.tcz"), "{lock}");
    fs::remove_file(upstream.join("bash.tcz.dep")).unwrap();
    world.succeeds(&["lock", "--update"]);
    let lock = fs::read_to_string(world.path("recipe.lock")).unwrap();
    assert!(!lock.contains("readline"), "{lock}");
}

#[test]
fn an_extension_that_is_no_longer_what_was_locked_is_refused() {
    let Some(world) = World::of("7.2") else {
        return;
    };
    let upstream = world.upstream();
    world.succeeds(&["lock", "--update"]);
    let path = upstream.join("bash.tcz");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100_000] ^= 1;
    fs::write(path, bytes).unwrap();
    // Another cache, and no mirror but that one.
    let output = luni(world.folder.path())
        .args(["--cache", "other", "fetch"])
        .output()
        .unwrap();
    let text = transcript(&output);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("bash.tcz"), "{text}");
    assert!(text.contains("other bytes"), "{text}");
}

#[test]
fn extensions_are_merged_with_their_scripts_for_core_to_run() {
    let Some(world) = World::of("7.2") else {
        return;
    };
    has_golden_digest(&world);
    let root = root_of(&world.path("core.luni.zip"));
    let node = |path: &str| root.get(path).unwrap_or_else(|| panic!("no {path}"));
    assert_eq!(node("usr/local/bin/bash").mode, 0o755);
    assert!(root.get("usr/local/lib/libncursesw.so.5.9").is_some());
    assert_eq!(node("tmp").mode, 0o1777);
    let installed = node("usr/local/tce.installed/readline");
    assert_eq!((installed.mode, installed.gid), (0o664, 50));
    let NodeKind::File { content, .. } = &node("tmp/setup.lst").kind else {
        panic!("no file");
    };
    let expected = lunikernel_cache::Digest::of(b"/usr/local/tce.installed/bash\n");
    assert_eq!(*content, expected);
    assert!(matches!(
        node("dev/console").kind,
        NodeKind::CharDevice { major: 5, minor: 1 }
    ));
    let inspected = world.succeeds(&["inspect", "--json", "core.luni.zip"]);
    for part in ["\"tcz\"", "ncurses.tcz"] {
        assert!(inspected.contains(part), "{part} is not in {inspected}");
    }
    let (_, changed) = laid(&world.path("core.luni.zip"), "etc/mine", "mine\n");
    let expected = "initramfs.gz: member `etc/mine`: only the right one has it";
    assert_eq!(changed, expected);
}

/// Booting them takes modules of the kernel (loop, squashfs), which neither the mirror's
/// kernel nor its root file systems have: what Core reads is compared with what it wants.
#[test]
fn extensions_are_kept_where_core_looks_for_them() {
    let Some(world) = World::of("7.2") else {
        return;
    };
    for file in ["recipe.yaml", "recipe.lock"] {
        let text = fs::read_to_string(world.path(file)).unwrap();
        let text = match file {
            "recipe.yaml" => text.replace("[bash.tcz]", "[bash.tcz]\n      install: onboot"),
            _ => text.replace("install: merge", "install: onboot"),
        };
        fs::write(world.path(file), text).unwrap();
    }
    world.change("recipe.yaml", "/usr/local/bin/bash", "/bin/sh");
    world.succeeds(&["build", "-o", "core.luni.zip"]);
    let root = root_of(&world.path("core.luni.zip"));
    let has = |path: &str, expected: &[u8]| {
        let node = root.get(&format!("tmp/builtin/{path}"));
        let content = match node.map(|node| &node.kind) {
            Some(NodeKind::File { content, .. }) => *content,
            _ => panic!("no {path}"),
        };
        assert_eq!(content, lunikernel_cache::Digest::of(expected), "{path}");
    };
    has("onboot.lst", b"bash.tcz\n");
    has("optional/bash.tcz.dep", b"readline.tcz\n");
    for (name, sha256, _) in EXTENSIONS {
        let bytes = fs::read(world.mirror.join("sha256").join(sha256)).unwrap();
        has(&format!("optional/{name}"), &bytes);
        let sum: String = Md5::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        has(
            &format!("optional/{name}.md5.txt"),
            format!("{sum}  {name}\n").as_bytes(),
        );
    }
    assert!(root.get("usr/local/bin/bash").is_none());
}

#[test]
fn core_is_the_same_whatever_varies() {
    let Some(world) = World::of("7.2") else {
        return;
    };
    let report = world.succeeds(&["verify", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let test = format!("tinycore::{}", this_test());
    varied::all_but(&test, &report, &varied::SANDBOX_AND_LOCALE);
}

/// After a change that was meant: `UPDATE=1 cargo test --test tinycore exports`.
#[test]
fn exports_are_the_committed_ones() {
    let name = "tinycore::exports_are_the_committed_ones";
    let Some(world) = World::of("7.2") else {
        return;
    };
    has_golden_digest(&world);
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let zip = world.path("core.luni.zip");
    site.has_golden_exports(&zip, "firecracker,pxe", "tinycore-core-exports.sha256");
    // Its kernel is older than PVH is in Linux.
    for format in ["cloud-hypervisor", "xen"] {
        let mut export = site.export_of(&zip, world.folder.path(), format);
        let output = export.arg("--force").output().unwrap();
        let said = transcript(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("its kernel has no entry for PVH"), "{said}");
        assert!(
            said.contains("hint: take a kernel with `CONFIG_PVH`"),
            "{said}"
        );
    }
}

/// Boots what was built and waits for the lines that its services print.
fn boots(world: &World, release: &str) {
    for expected in [
        "bash is 4.3.39(1)-release",
        "this is web with ~ at /home/web",
    ] {
        let arguments = ["--timeout", "600", "--expect", expected, "core.luni.zip"];
        let ran = world.run(&[&["run"][..], &arguments].concat());
        let console = transcript(&ran);
        assert_eq!(ran.status.code(), Some(0), "{console}");
        let booting = format!("Booting Core {release}");
        assert!(console.contains(&booting), "{console}");
    }
}

/// Whether machines can be booted here; otherwise says that the test is left out.
fn has_qemu() -> bool {
    let qemu = std::process::Command::new("qemu-system-x86_64")
        .arg("--version")
        .output();
    if qemu.is_err() {
        let test = format!("tinycore::{}", this_test());
        left_out(&test, "qemu-system-x86_64 is not installed");
    }
    qemu.is_ok()
}

#[test]
fn core_7_boots_and_runs_bash() {
    let Some(world) = World::of("7.2").filter(|_| has_qemu()) else {
        return;
    };
    has_golden_digest(&world);
    boots(&world, "7.2");
}

/// On a kernel of Debian, locked as in another recipe: that of Core 7 is too old.
#[test]
fn core_11_boots_and_runs_bash() {
    let Some(mut world) = World::of("11.0").filter(|_| has_qemu()) else {
        return;
    };
    let Some(debian) = hello::mirror("tinycore::core_11_boots_and_runs_bash") else {
        return;
    };
    world.mirrors.push(debian);
    let linux = lock_of(&hello::recipe().join("recipe.lock"), |source| {
        source == "linux"
    });
    fs::write(world.path("recipe.lock"), linux).unwrap();
    world.upstream();
    world.succeeds(&["lock"]);
    world.succeeds(&["build", "-o", "core.luni.zip"]);
    boots(&world, "11.0");
}

#[test]
fn a_root_that_is_no_core_is_told() {
    let Some(world) = World::of("7.2") else {
        return;
    };
    world.change("recipe.yaml", "[rootfs, extensions]", "[extensions]");
    world.fails(
        &["build"],
        &["`rootfs.from` makes no Core", "etc/init.d/tc-config"],
    );
}

/// Its release is an ISO image that the test makes, with the real kernel and root file
/// system of Core 7.2 in it.
#[test]
fn the_template_is_locked_and_built() {
    let test = format!("tinycore::{}", this_test());
    let Some(world) = World::empty(&test) else {
        return;
    };
    let artefact = |hex: &str| world.mirror.join("sha256").join(hex);
    let boot = world.path("cd/boot");
    fs::create_dir_all(&boot).unwrap();
    fs::copy(artefact(KERNEL), boot.join("vmlinuz64")).unwrap();
    fs::copy(artefact(ROOTFS), boot.join("corepure64.gz")).unwrap();
    let made = std::process::Command::new("xorrisofs")
        .args(["-quiet", "-R", "-o"])
        .args([world.path("core.iso"), world.path("cd")])
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        left_out(&test, "xorrisofs is not installed");
        return;
    }
    world.succeeds(&["new", "web", "--flavour", "tinycore"]);
    let iso = fs::read(world.path("core.iso")).unwrap();
    let addresses = [
        (
            "url: http",
            format!("url: file://{}", world.path("core.iso").display()),
        ),
        (
            "sha256: ",
            format!("sha256: {}", lunikernel_cache::Sha256::of(&iso).hex()),
        ),
        (
            "mirror: http",
            format!("mirror: file://{}/", world.extensions().display()),
        ),
    ];
    let yaml = fs::read_to_string(world.path("web/recipe.yaml")).unwrap();
    let lines = yaml.lines().map(|line| {
        let text = line.trim_start();
        let here = addresses.iter().find(|(begin, _)| text.starts_with(begin));
        let indent = &line[..line.len() - text.len()];
        here.map_or_else(|| line.to_owned(), |(_, here)| format!("{indent}{here}"))
    });
    let yaml: Vec<String> = lines.collect();
    fs::write(world.path("web/recipe.yaml"), yaml.join("\n")).unwrap();
    world.succeeds(&["lock", "web"]);
    // One bit of the image anywhere is one too many.
    let image = world.path("core.iso");
    for at in [0, 16 * 2048 + 1, 20 * 2048, iso.len() / 2, iso.len() - 1] {
        let mut flipped = iso.clone();
        flipped[at] ^= 0x10;
        fs::write(&image, flipped).unwrap();
        let refused = world.run(&["--cache", "other", "fetch", "web"]);
        let told = transcript(&refused);
        assert_eq!(refused.status.code(), Some(5), "{told}");
        assert!(told.contains("core.iso"), "{told}");
        assert!(told.contains("other bytes"), "{told}");
    }
    fs::write(&image, &iso).unwrap();
    world.succeeds(&["build", "web"]);
    let root = root_of(&world.path("web.luni.zip"));
    for path in ["usr/local/bin/bash", "etc/luni/services/greeting"] {
        assert!(root.get(path).is_some(), "{path} is not there");
    }
}
