//! The flavour `yocto`, on a real image: built by hash, verified, booted, with its
//! packages in the bill of materials.

mod support;

use std::io::Read as _;

use fs_err as fs;
use lunikernel_cache::artefact::{Artefact, SBOM};
use lunikernel_testing::{left_out, this_test};
use serde_json::Value;
use support::exported::Site;
use support::overlaid::laid;
use support::small::lock_of;
use support::upstream::World;
use support::{bzimage, hello, project, transcript, varied};

/// The image's manifest in the hashed mirror.
const MANIFEST: &str = "08fb122c51d5764b0386084ccf3b9f6a6341153717b5b9c9da24e9856869b68f";

/// Its root file system there.
const ROOTFS: &str = "0f7972087f3f8df1cecef750cd162fca6409a3970ed54aab60069241c006e657";

impl World {
    /// The recipe, locked, in a folder of its own; `None` where there is no mirror.
    fn locked() -> Option<Self> {
        let test = format!("yocto::{}", this_test());
        let mut world = Self::empty(&test)?;
        world.mirrors.push(hello::mirror(&test)?);
        let recipe = fs::read(project("tests/yocto/minimal-3.1.yaml")).unwrap();
        fs::write(world.path("recipe.yaml"), recipe).unwrap();
        // The kernel is that of another recipe.
        let linux = |source: &str| source == "linux";
        let lock = lock_of(&hello::recipe().join("recipe.lock"), linux);
        fs::write(world.path("recipe.lock"), lock).unwrap();
        world.succeeds(&["lock"]);
        Some(world)
    }

    /// Takes the lists of packages from files beside the recipe.
    fn with_lists(&self, manifest: &[u8], licences: &[u8]) {
        fs::write(self.path("image.manifest"), manifest).unwrap();
        fs::write(self.path("license.manifest"), licences).unwrap();
        self.change(
            "recipe.yaml",
            "sources:\n",
            "sources:\n  listed: {file: image.manifest}\n  licensed: {file: license.manifest}\n",
        );
        self.change(
            "recipe.yaml",
            "  manifest: manifest\n",
            "  manifest: listed\n  licences: licensed\n",
        );
        let text = fs::read_to_string(self.path("recipe.yaml")).unwrap();
        let (before, rest) = text.split_once("  manifest:\n    url:").unwrap();
        let (_, after) = rest.split_once("  linux:\n").unwrap();
        let text = format!("{before}  linux:\n{after}");
        fs::write(self.path("recipe.yaml"), text).unwrap();
        self.succeeds(&["lock"]);
    }

    fn manifest(&self) -> Vec<u8> {
        fs::read(self.mirror.join("sha256").join(MANIFEST)).unwrap()
    }

    /// The bill of materials of what was built.
    fn sbom(&self) -> Value {
        let artefact = Artefact::open(&self.path("minimal.luni.zip")).unwrap();
        let mut text = String::new();
        let mut entry = artefact.entry(SBOM).unwrap();
        entry.read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The package of that name in it.
    fn listed(&self, name: &str) -> Option<Value> {
        let sbom = self.sbom();
        let packages = sbom["packages"].as_array().unwrap();
        let package = packages.iter().find(|it| it["name"] == name).cloned()?;
        let contains = sbom["relationships"].as_array().unwrap().iter();
        let mut contains = contains.filter(|it| it["relationshipType"] == "CONTAINS");
        assert!(contains.any(|it| it["relatedSpdxElement"] == package["SPDXID"]));
        Some(package)
    }
}

#[track_caller]
fn has_golden_digest(world: &World) {
    let golden = fs::read_to_string(project("tests/golden/yocto-minimal.sha256")).unwrap();
    let built = world.succeeds(&["build", "-o", "minimal.luni.zip"]);
    let digest = built.split_whitespace().next().unwrap_or_default();
    assert_eq!(
        Some(digest),
        golden.split_whitespace().next(),
        "the digest of tests/yocto/minimal-3.1.yaml has moved; if that is meant, write the new \
         one into tests/golden/yocto-minimal.sha256 and say in the commit message why"
    );
}

/// After a change that was meant: `UPDATE=1 cargo test --test yocto exports`.
#[test]
fn exports_are_the_committed_ones() {
    let Some(world) = World::locked() else {
        return;
    };
    has_golden_digest(&world);
    if let Some(site) = Site::of_hello("yocto::exports_are_the_committed_ones") {
        let (zip, more) = (world.path("minimal.luni.zip"), "firecracker,pxe,xen");
        site.has_golden_exports(&zip, more, "yocto-minimal-exports.sha256");
    }
}

#[test]
fn the_bill_of_materials_has_the_packages_of_the_manifest() {
    let Some(world) = World::locked() else {
        return;
    };
    world.succeeds(&["build", "-o", "minimal.luni.zip"]);
    let busybox = world.listed("busybox").unwrap();
    assert_eq!(busybox["versionInfo"], "1.31.1");
    assert_eq!(busybox["comment"], "architecture core2_64");
    assert!(busybox.get("licenseDeclared").is_none());
    assert_eq!(
        world.listed("libc6").unwrap()["versionInfo"],
        "2.31+git0+2d4f26e5cf"
    );
    assert!(world.listed("bash").is_none());

    let licences = "PACKAGE NAME: busybox\nPACKAGE VERSION: 1.31.1\nRECIPE NAME: busybox\n\
        LICENSE: GPLv2 & bzip2-1.0.6\n\nPACKAGE NAME: netbase\nPACKAGE VERSION: 6.1\n\
        RECIPE NAME: netbase\nLICENSE: MIT | a-word\n\n";
    world.with_lists(&world.manifest(), licences.as_bytes());
    world.succeeds(&["build", "-o", "minimal.luni.zip"]);
    let busybox = world.listed("busybox").unwrap();
    assert_eq!(busybox["licenseDeclared"], "GPL-2.0-only AND bzip2-1.0.6");
    // What has no counterpart is not guessed, and stays as it is.
    let netbase = world.listed("netbase").unwrap();
    assert_eq!(netbase["licenseDeclared"], "MIT OR LicenseRef-a-word");
    let others = world.sbom()["hasExtractedLicensingInfos"].clone();
    let expected = serde_json::json!([{
        "licenseId": "LicenseRef-a-word",
        "name": "a-word",
        "extractedText": "`a-word`, as the image's list of licences has it",
    }]);
    assert_eq!(others, expected);
}

#[test]
fn a_manifest_that_was_tampered_with_is_named() {
    let Some(mut world) = World::locked() else {
        return;
    };
    // What a mirror has under the manifest's name, with another version of a package.
    let tampered = String::from_utf8(world.manifest()).unwrap();
    let tampered = tampered.replace("busybox core2_64 1.31.1", "busybox core2_64 1.31.2");
    let evil = world.path("evil/sha256");
    fs::create_dir_all(&evil).unwrap();
    fs::write(evil.join(MANIFEST), tampered).unwrap();
    let evil = vec![format!("file://{}", world.path("evil").display())];
    let honest = std::mem::replace(&mut world.mirrors, evil);
    let fails = ["core-image-minimal-qemux86-64.manifest"];
    world.fails(&["--cache", "other", "fetch"], &fails);
    world.mirrors = honest;

    let mut broken = world.manifest();
    broken.extend_from_slice(b"busybox core2_64\n");
    world.with_lists(&broken, b"LICENSE: MIT\n");
    world.fails(
        &["build"],
        &[
            "could not read the list of packages `listed`",
            "line 28: expected `NAME ARCHITECTURE VERSION`",
            "hint: ",
        ],
    );
    fs::write(world.path("image.manifest"), world.manifest()).unwrap();
    world.succeeds(&["lock"]);
    world.fails(
        &["build"],
        &[
            "could not read the list of packages `licensed`",
            "line 1: expected `PACKAGE NAME: …`",
        ],
    );
}

#[test]
fn the_image_is_the_same_whatever_varies() {
    let Some(world) = World::locked() else {
        return;
    };
    let report = world.succeeds(&["verify", "--json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    let test = format!("yocto::{}", this_test());
    varied::all_but(&test, &report, &varied::SANDBOX_AND_LOCALE);
}

#[test]
fn the_image_boots_by_its_own_init_and_runs_services() {
    let qemu = std::process::Command::new("qemu-system-x86_64")
        .arg("--version")
        .output();
    if qemu.is_err() {
        let test = format!("yocto::{}", this_test());
        left_out(&test, "qemu-system-x86_64 is not installed");
        return;
    }
    let Some(world) = World::locked() else {
        return;
    };
    has_golden_digest(&world);
    let base = world.path("minimal.luni.zip");
    let (_, changed) = laid(&base, "etc/hostname", "overlaid\n");
    let expected = "initramfs.gz: member `etc/hostname`: line 1 differs";
    assert_eq!(changed, expected);
    for (zip, expected) in [
        ("minimal.luni.zip", "BusyBox v1.31.1"),
        ("minimal.luni.zip", "this is web with ~ at /home/web"),
        ("laid.zip", "overlaid login:"),
    ] {
        let arguments = ["--timeout", "600", "--expect", expected, zip];
        let ran = world.run(&[&["run"][..], &arguments].concat());
        let console = transcript(&ran);
        assert_eq!(ran.status.code(), Some(0), "{console}");
        assert!(console.contains("INIT: version 2.96 booting"), "{console}");
    }
}

#[test]
fn what_is_no_image_is_told() {
    let Some(world) = World::locked() else {
        return;
    };
    world.change(
        "recipe.yaml",
        "from: [rootfs]\n  manifest",
        "from: [linux]\n  manifest",
    );
    world.fails(
        &["build"],
        &["`rootfs.from` makes no image of Yocto", "/sbin/init"],
    );
}

#[test]
fn the_template_takes_a_deploy_directory() {
    let Some(world) = World::empty(&format!("yocto::{}", this_test())) else {
        return;
    };
    world.succeeds(&["new", "web", "--flavour", "yocto"]);
    let put = |name: &str, bytes: &[u8]| {
        fs::write(world.path("web/deploy").join(name), bytes).unwrap();
    };
    // What is not there yet is named, and what there is.
    world.succeeds(&["lock", "web"]);
    let missing = [
        "`deploy` has no file or folder",
        "hint: there are `deploy/README`",
    ];
    world.fails(&["build", "web"], &missing);
    let rootfs = world.mirror.join("sha256").join(ROOTFS);
    put("rootfs.tar.bz2", &fs::read(rootfs).unwrap());
    put("image.manifest", &world.manifest());
    put(
        "license.manifest",
        b"PACKAGE NAME: busybox\nPACKAGE VERSION: 1.31.1\nRECIPE NAME: busybox\nLICENSE: GPLv2\n\n",
    );
    put("bzImage", &bzimage());
    world.fails(&["build", "web"], &["hint: ", "luni lock"]);
    world.succeeds(&["lock", "web"]);
    world.succeeds(&["build", "web", "-o", "minimal.luni.zip"]);
    let busybox = world.listed("busybox").unwrap();
    assert_eq!(busybox["licenseDeclared"], "GPL-2.0-only");
}

/// As BitBake leaves it: what a name without a date stands for is a link.
#[test]
fn a_deploy_directory_is_taken_with_its_links() {
    let Some(world) = World::empty(&format!("yocto::{}", this_test())) else {
        return;
    };
    fs::create_dir_all(world.path("deploy/licenses/image-20230810")).unwrap();
    fs::create_dir_all(world.path("deploy/empty")).unwrap();
    let put = |name: &str, bytes: &[u8]| {
        fs::write(world.path("deploy").join(name), bytes).unwrap();
    };
    let link = |target: &str, name: &str| {
        fs::os::unix::fs::symlink(target, world.path("deploy").join(name)).unwrap();
    };
    let rootfs = world.mirror.join("sha256").join(ROOTFS);
    put("image-20230810.rootfs.tar.bz2", &fs::read(rootfs).unwrap());
    put("image-20230810.rootfs.manifest", &world.manifest());
    put(
        "licenses/image-20230810/license.manifest",
        b"PACKAGE NAME: busybox\nPACKAGE VERSION: 1.31.1\nRECIPE NAME: busybox\nLICENSE: GPLv2\n\n",
    );
    put("bzImage--5.4+git0-r0.bin", &bzimage());
    link("image-20230810.rootfs.tar.bz2", "image.tar.bz2");
    link("image-20230810.rootfs.manifest", "image.manifest");
    link("image-20230810", "licenses/image");
    link("./bzImage--5.4+git0-r0.bin", "bzImage-qemux86-64.bin");
    link("bzImage-qemux86-64.bin", "bzImage");
    let recipe = "apiVersion: lunikernel/v1\nname: minimal\nversion: 1.0.0\nflavour: yocto\n\
        sources:\n  deploy: {file: deploy}\nrootfs:\n  from: [deploy/image.tar.bz2]\n  \
        manifest: deploy/image.manifest\n  licences: deploy/licenses/image/license.manifest\n  \
        files:\n    /boot/kernel: {from: deploy/bzImage}\n\
        kernel: {from: deploy/bzImage, modules: []}\n";
    fs::write(world.path("recipe.yaml"), recipe).unwrap();
    world.succeeds(&["lock"]);
    world.succeeds(&["build", "-o", "minimal.luni.zip"]);
    let busybox = world.listed("busybox").unwrap();
    assert_eq!(busybox["licenseDeclared"], "GPL-2.0-only");
    let root = support::root_of(&world.path("minimal.luni.zip"));
    let kernel = &root.get("boot/kernel").unwrap().kind;
    assert!(matches!(kernel, lunikernel_cache::NodeKind::File { .. }));

    // The zip alone has all of it, links included.
    fs::rename(world.path("deploy"), world.path("elsewhere")).unwrap();
    let again = ["build", "minimal.luni.zip", "-o", "again.luni.zip"];
    world.succeeds(&[&["--cache", "other"][..], &again].concat());
    let read = |name: &str| fs::read(world.path(name)).unwrap();
    assert!(read("minimal.luni.zip") == read("again.luni.zip"));
    world.succeeds(&["verify", "minimal.luni.zip", "--rounds", "2"]);
    fs::rename(world.path("elsewhere"), world.path("deploy")).unwrap();

    let kernel = world.path("deploy/bzImage-qemux86-64.bin");
    for (target, why) in [
        ("bzImage--5.5.bin", "leads to nothing that is there"),
        ("bzImage", "leads through too many links"),
    ] {
        fs::remove_file(&kernel).unwrap();
        fs::os::unix::fs::symlink(target, &kernel).unwrap();
        world.succeeds(&["lock"]);
        let link = format!("is a link to `{target}`, which");
        let link = if why.contains("many") { why } else { &link };
        world.fails(
            &["build"],
            &["`deploy/bzImage` cannot be used", link, why, "hint: "],
        );
    }
}
