//! The flavour `mirage`: a unikernel for Solo5, such as MirageOS makes.
//!
//! Such a file says itself which of Solo5's targets it was built for and which devices
//! it wants, in two ELF notes; the recipe adds nothing to that.

use lunikernel_cache::artefact::{Devices, Overlay};

use super::{FlavourError, Looked};
use crate::recipe::Recipe;
use crate::unikernel::solo5::{DeviceKind, Image, Target};
use crate::unikernel::{KernelFlaw, multiboot, pvh, solo5};

/// The flavour `mirage`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mirage;

impl super::Unikernel for Mirage {
    fn look(&self, recipe: &Recipe, kernel: &[u8]) -> Result<Looked, FlavourError> {
        let image = solo5::read(kernel).map_err(FlavourError::of_kernel(recipe))?;
        let notes = entry(&image, kernel).map_err(FlavourError::of_kernel(recipe))?;
        let has = |kind| image.devices.iter().any(|device| device.kind == kind);
        let disk = image
            .devices
            .iter()
            .find(|device| device.kind == DeviceKind::Block);
        Ok(Looked {
            protocol: image.protocol(),
            devices: Devices {
                net: has(DeviceKind::Net) || recipe.boot.net,
                block: has(DeviceKind::Block) || recipe.boot.block,
            },
            overlay: match disk {
                Some(disk) => Overlay::Block {
                    device: disk.name.clone(),
                },
                None => Overlay::None {},
            },
            notes,
        })
    }
}

/// What is to be said about it. What firmware starts must have the entry that it takes.
fn entry(image: &Image, kernel: &[u8]) -> Result<Vec<String>, KernelFlaw> {
    match image.target {
        Target::Hvt | Target::Spt | Target::Muen => Ok(Vec::new()),
        Target::Virtio => {
            let image = multiboot::read(kernel)?.ok_or(KernelFlaw::NoEntry)?;
            Ok(image.notes())
        }
        Target::Xen => {
            pvh::read(kernel)?.ok_or(KernelFlaw::NoEntry)?;
            Ok(Vec::new())
        }
    }
}
