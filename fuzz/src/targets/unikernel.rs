//! What starts unikernels.

use lunikernel_builder::unikernel::{
    multiboot as one, multiboot2 as two, pvh as xen, solo5 as solo,
};

/// The header of multiboot 1: what is accepted is in the file, but for a part of a page.
pub(crate) fn multiboot(data: &[u8]) -> bool {
    let Ok(Some(image)) = one::read(data) else {
        return false;
    };
    assert!(image.header_at < 8192 && image.missing < 4096);
    assert_eq!(image.size, data.len() as u64 + image.missing);
    assert!(one::suspect(data).is_none() || image.header_at > 0);
    true
}

/// The header of multiboot 2.
pub(crate) fn multiboot2(data: &[u8]) -> bool {
    let Ok(Some(image)) = two::read(data) else {
        return false;
    };
    assert!(image.header_at < 32768);
    true
}

/// Xen's note of a PVH entry.
pub(crate) fn pvh(data: &[u8]) -> bool {
    matches!(xen::read(data), Ok(Some(_)))
}

/// Solo5's notes: devices have names that are safe to print, each its own.
pub(crate) fn solo5(data: &[u8]) -> bool {
    let Ok(image) = solo::read(data) else {
        return false;
    };
    let mut names: Vec<&str> = image.devices.iter().map(|it| it.name.as_str()).collect();
    assert!(names.len() < 64);
    for name in &names {
        assert!((1..68).contains(&name.len()) && name.chars().all(|c| c.is_ascii_graphic()));
    }
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "a name is there twice");
    true
}
