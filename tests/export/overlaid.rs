//! Exports of what something was laid over.

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use lunikernel_cache::artefact::Artefact;

use super::support::exported::{Site, need, printed};
use super::support::transcript;

/// How large the file is that is laid over it, in bytes. It packs to next to nothing.
const LARGE: u64 = 300 << 20;

/// `hello` with a file over it that its 256 MiB have no room for.
fn overlaid(site: &Site, folder: &Path) {
    fs::create_dir(folder.join("over")).unwrap();
    let large = fs::File::create(folder.join("over/large")).unwrap();
    large.set_len(LARGE).unwrap();
    let mut overlay = site.luni(&folder.join("cache"));
    overlay.current_dir(folder).arg("overlay").arg(site.zip());
    let output = overlay.args(["over", "-o", "large.luni.zip"]).output();
    printed(&output.unwrap());
}

#[test]
fn machines_have_the_memory_that_an_overlay_takes() {
    let name = "export::overlaid::machines_have_the_memory_that_an_overlay_takes";
    let (Some(site), Some(tar)) = (Site::of_hello(name), need(name, "tar")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    overlaid(&site, folder.path());
    let zip = folder.path().join("large.luni.zip");
    let about = Artefact::open(&zip).unwrap();
    assert_eq!(about.manifest().boot.min_memory_mib, 256);

    let formats = "kvm,firecracker,cloud-hypervisor,xen,pxe";
    let mut export = site.export_of(&zip, folder.path(), formats);
    let output = export.arg("--force").output().unwrap();
    let said = transcript(&output);
    printed(&output);
    for format in formats.split(',').filter(|it| *it != "kvm") {
        let mut take = Command::new(&tar);
        take.args(["-xf", &format!("hello.{format}.tar")]);
        printed(&take.current_dir(folder.path()).output().unwrap());
    }
    let read = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
    let xml = read("hello.xml");
    let (_, memory) = xml.split_once("<memory unit='MiB'>").unwrap();
    let (memory, _) = memory.split_once('<').unwrap();
    // Half of what it has holds all that is unpacked.
    let least = 2 * (LARGE >> 20);
    let mib: u64 = memory.parse().unwrap();
    assert!((least..2 * least).contains(&mib), "{mib}");
    for (file, expected) in [
        ("hello.run.sh", format!("-m {memory} ")),
        (
            "hello.firecracker/config.json",
            format!("\"mem_size_mib\": {memory},"),
        ),
        (
            "hello.cloud-hypervisor/run.sh",
            format!("size=${{MEMORY:-{memory}}}M"),
        ),
        ("hello.xen/xl.cfg", format!("memory = {memory}\n")),
        ("hello.pxe/README.txt", format!("-m {memory} ")),
    ] {
        let text = read(file);
        assert!(text.contains(&expected), "{file}: {text}");
    }
    // Where somebody else gives it its memory, that is said, and nothing of a recipe.
    let hint = format!("hint: give its machine {memory} MiB, or lay less over it");
    assert!(
        said.contains("warning: pxe: it says that 256 MiB"),
        "{said}"
    );
    assert!(said.contains(&hint), "{said}");
}
