//! The flavour `unikernel`: any kernel that starts by multiboot or PVH.
//!
//! The recipe says which devices it wants, since such a kernel does not. Where a file
//! has several entries, the one that QEMU takes is taken: multiboot before PVH.

use lunikernel_cache::artefact::{Devices, Overlay, Protocol};

use super::{FlavourError, Looked};
use crate::recipe::Recipe;
use crate::unikernel::{KernelFlaw, multiboot, multiboot2, pvh};

/// The flavour `unikernel`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unikernel;

impl super::Unikernel for Unikernel {
    fn look(&self, recipe: &Recipe, kernel: &[u8]) -> Result<Looked, FlavourError> {
        let flawed = FlavourError::of_kernel(recipe);
        let (protocol, notes) = entry(kernel).map_err(flawed)?;
        Ok(Looked {
            protocol,
            devices: Devices {
                net: recipe.boot.net,
                block: recipe.boot.block,
            },
            overlay: Overlay::None {},
            notes,
        })
    }
}

/// How `kernel` is started. A header that is there and wrong is not passed over for
/// another one: whoever boots the file would stumble over it.
fn entry(kernel: &[u8]) -> Result<(Protocol, Vec<String>), KernelFlaw> {
    if let Some(image) = multiboot::read(kernel)? {
        return Ok((Protocol::Multiboot, image.notes()));
    }
    if pvh::read(kernel)?.is_some() {
        return Ok((Protocol::XenPvh, Vec::new()));
    }
    if multiboot2::read(kernel)?.is_some() {
        return Ok((Protocol::Multiboot2, Vec::new()));
    }
    let suspect = multiboot::suspect(kernel).or_else(|| multiboot2::suspect(kernel));
    Err(suspect.unwrap_or(KernelFlaw::NoEntry))
}
