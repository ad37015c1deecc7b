//! What Yocto writes about the packages of an image.

use std::fmt::Write as _;

use lunikernel_builder::assemble::yocto;

/// An image's manifest: an accepted one is read back from what it is written as.
pub(crate) fn manifest(data: &[u8]) -> bool {
    let Ok(packages) = yocto::manifest(data) else {
        return false;
    };
    let mut written = String::new();
    for package in &packages {
        let (name, arch) = (&package.name, &package.arch);
        let _ = writeln!(written, "{name} {arch} {}", package.version);
    }
    assert_eq!(yocto::manifest(written.as_bytes()), Ok(packages));
    true
}

/// `license.manifest`: as the manifest; and each expression is one of SPDX's, in which
/// brackets are in pairs.
pub(crate) fn licences(data: &[u8]) -> bool {
    let Ok(licences) = yocto::licences(data) else {
        return false;
    };
    let mut written = String::new();
    for (name, licence) in &licences {
        let _ = write!(written, "PACKAGE NAME: {name}\nLICENSE: {licence}\n\n");
        let expression = yocto::expression(licence);
        let text = &expression.text;
        let count = |c: char| text.matches(c).count();
        assert_eq!(count('('), count(')'), "{text}");
        assert!(!text.contains(['&', '|']), "{text}");
        for reference in expression.others.keys() {
            assert!(text.contains(reference), "{text}");
        }
    }
    assert_eq!(yocto::licences(written.as_bytes()), Ok(licences));
    true
}
