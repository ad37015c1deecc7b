//! A Lunikernel with all that is needed to start it.

use std::io::Read as _;
use std::sync::Arc;

use lunikernel_builder::unikernel::solo5::{self, DeviceKind};
use lunikernel_builder::unikernel::{KernelFlaw, MAX_KERNEL, Modules, multiboot};
use lunikernel_cache::CacheError;
use lunikernel_cache::artefact::{Artefact, KERNEL, Protocol};
use lunikernel_exporters::boot::{Beside, Device, Module, System};
use lunikernel_exporters::checks::Firmware;

use crate::exit::Exit;
use crate::failure::Failure;

/// `artefact`, whose kernel gets `cmdline`, on a disk for `firmware`, or else for all that
/// can start it. Its initramfs has `unpacked` bytes once it is unpacked, where that is known.
pub(super) fn of(
    artefact: &Arc<Artefact>,
    cmdline: &str,
    firmware: Option<Firmware>,
    unpacked: Option<u64>,
) -> Result<System, Failure> {
    let firmware = firmware.unwrap_or(Firmware::of(artefact.manifest().boot.protocol));
    let system = System::new(Arc::clone(artefact), cmdline, firmware)?;
    Ok(system.with(beside(artefact)?)?.with_unpacked(unpacked))
}

fn beside(artefact: &Artefact) -> Result<Beside, Failure> {
    let modules = Modules::of(artefact)?.modules.into_iter().map(|it| Module {
        entry: it.entry,
        cmdline: it.cmdline,
    });
    Ok(Beside {
        modules: modules.collect(),
        zeros: zeros(artefact)?,
        devices: devices(artefact)?,
    })
}

/// How many zeros the kernel's multiboot header counts on behind its last byte.
fn zeros(artefact: &Artefact) -> Result<u64, Failure> {
    let protocol = artefact.manifest().boot.protocol;
    if !matches!(protocol, Protocol::Multiboot | Protocol::Solo5Virtio) {
        return Ok(0);
    }
    let image = multiboot::read(&kernel(artefact)?);
    let image = image.map_err(|flaw| refused(artefact, &flaw))?;
    Ok(image.map_or(0, |it| it.missing))
}

/// The devices that a tender has to be given by their names.
fn devices(artefact: &Artefact) -> Result<Vec<Device>, Failure> {
    let protocol = artefact.manifest().boot.protocol;
    if !matches!(protocol, Protocol::Solo5Hvt | Protocol::Solo5Spt) {
        return Ok(Vec::new());
    }
    let image = solo5::read(&kernel(artefact)?).map_err(|flaw| refused(artefact, &flaw))?;
    let devices = image.devices.into_iter().map(|it| Device {
        name: it.name,
        network: it.kind == DeviceKind::Net,
    });
    Ok(devices.collect())
}

fn refused(artefact: &Artefact, flaw: &KernelFlaw) -> Failure {
    let message = format!("could not export {}: {flaw}", artefact.label());
    let failure = Failure::new(Exit::BadInput, message);
    match flaw.hint() {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// The kernel's bytes.
fn kernel(artefact: &Artefact) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    (artefact.entry(KERNEL)?.take(MAX_KERNEL))
        .read_to_end(&mut bytes)
        .map_err(CacheError::io("read the kernel in the Lunikernel"))?;
    Ok(bytes)
}
