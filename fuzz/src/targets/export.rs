//! What goes into images, and what is said of them.

use lunikernel_exporters::Content;
use lunikernel_exporters::manifest::ExportManifest;
use lunikernel_exporters::uki::Uki;
use lunikernel_exporters::vmlinux;

use super::store::is_canonical;

/// The manifest of an export: an accepted one is canonical.
pub(crate) fn export_manifest(data: &[u8]) -> bool {
    let read = ExportManifest::parse(data);
    is_canonical(read.map(|manifest| manifest.to_canonical()), data)
}

/// An EFI stub: what is made of it has kernel and initramfs where it says, and can be read.
pub(crate) fn uki(data: &[u8]) -> bool {
    const KERNEL: &[u8] = b"a kernel, at the end";
    const INITRAMFS: &[u8] = b"an initramfs";
    let uki = Uki {
        stub: data.to_vec(),
        os_release: "ID=luni\n".to_owned(),
        cmdline: "console=ttyS0".to_owned(),
        initramfs: Content::bytes(INITRAMFS),
        kernel: Content::bytes(KERNEL),
    };
    let Ok(image) = uki.build() else {
        return false;
    };
    let most = data.len() + (1 << 20);
    // An alignment of the stub's may make it as large as it likes, of zeros.
    if let Ok(bytes) = image.program.to_vec(most) {
        assert!(bytes.len() > data.len(), "nothing was added");
        for (sectors, content) in [(image.kernel, KERNEL), (image.initramfs, INITRAMFS)] {
            let held = &bytes[sectors.start as usize * 512..sectors.end as usize * 512];
            let rest = held.strip_prefix(content);
            let rest = rest.expect("it begins with a sector");
            assert!(rest.iter().all(|byte| *byte == 0), "more is in its sectors");
        }
    }
    true
}

/// A kernel: what comes out of it is an ELF file, and stays one.
pub(crate) fn vmlinux(data: &[u8]) -> bool {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let Ok(kernel) = vmlinux::unpack(&Content::bytes(data), folder.path()) else {
        return false;
    };
    let again = vmlinux::unpack(&kernel.content, folder.path());
    let again = again.expect("what was unpacked can be loaded");
    assert_eq!(again.pvh, kernel.pvh, "its entry comes and goes");
    assert_eq!(again.content.len(), kernel.content.len());
    true
}
