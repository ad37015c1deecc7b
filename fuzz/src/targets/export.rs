//! What goes into images, and what is said of them.

use lunikernel_exporters::Content;
use lunikernel_exporters::manifest::ExportManifest;
use lunikernel_exporters::uki::Uki;
use lunikernel_exporters::vmlinux;

/// The manifest of an export: an accepted one is canonical.
pub(crate) fn export_manifest(data: &[u8]) -> bool {
    let Ok(manifest) = ExportManifest::parse(data) else {
        return false;
    };
    let written = manifest
        .to_canonical()
        .expect("what was read can be written");
    assert_eq!(written, data, "accepted though it is not canonical");
    true
}

/// An EFI stub: what is made of it has the kernel at its end, and can be read.
pub(crate) fn uki(data: &[u8]) -> bool {
    let kernel = b"a kernel, at the end";
    let uki = Uki {
        stub: data.to_vec(),
        os_release: "ID=luni\n".to_owned(),
        cmdline: "console=ttyS0".to_owned(),
        initramfs: Content::bytes(*b"an initramfs"),
        kernel: Content::bytes(*kernel),
    };
    let Ok(image) = uki.build() else {
        return false;
    };
    let most = data.len() + (1 << 20);
    // An alignment of the stub's may make it as large as it likes, of zeros.
    if let Ok(bytes) = image.to_vec(most) {
        assert!(bytes.len() > data.len(), "nothing was added");
        let found = bytes.windows(kernel.len()).any(|it| it == kernel);
        assert!(found, "the kernel is not in it");
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
