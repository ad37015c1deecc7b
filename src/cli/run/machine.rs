//! What is booted, out of the zip.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use fs_err::File;
use lunikernel_builder::boot::{self, Entry, Kernel, Machine, Module, Start, Tender, TenderKind};
use lunikernel_builder::inspect::glance;
use lunikernel_builder::overlay::BLOCK;
use lunikernel_builder::unikernel::solo5::{self, DeviceKind};
use lunikernel_builder::unikernel::{KernelFlaw, Modules, multiboot};
use lunikernel_cache::CacheError;
use lunikernel_cache::artefact::{
    Artefact, ArtefactError, INITRAMFS, KERNEL, Overlay, Protocol, TENDER,
};

use super::Args;
use crate::cli::{Context, export};
use crate::exit::Exit;
use crate::failure::Failure;

/// Writes what is booted into `folder`; its bytes are checked on the way.
pub(super) fn unpack(
    artefact: &Arc<Artefact>,
    args: &Args,
    folder: &Path,
    context: &Context,
) -> Result<Machine, Failure> {
    let zip = Zip {
        artefact,
        folder,
        cmdline: args.cmdline.of(artefact),
    };
    let manifest = artefact.manifest();
    let protocol = manifest.boot.protocol;
    if !args.attach.is_empty() && !is_solo5(protocol) {
        let hint = "leave `--attach` out: only unikernels of Solo5's name their devices";
        return Err(zip.refused("its devices have no names", Some(hint)));
    }
    let has_tender = matches!(protocol, Protocol::Solo5Hvt | Protocol::Solo5Spt);
    if (args.tender.is_some() || args.own_tender) && !has_tender {
        let hint = "leave `--tender` and `--own-tender` out";
        return Err(zip.refused("it is run by no tender", Some(hint)));
    }
    let start = match protocol {
        Protocol::Linux => Start::Kernel(zip.kernel(Entry::Linux {
            initramfs: Some(zip.entry(INITRAMFS)?),
        })?),
        Protocol::Multiboot => Start::Kernel(zip.completed(zip.modules()?)?),
        Protocol::XenPvh => Start::Kernel(zip.kernel(zip.pvh()?)?),
        Protocol::Solo5Virtio => Start::Kernel(zip.completed(zip.solo5_virtio(args)?)?),
        Protocol::Multiboot2 => Start::Disc(zip.disc(context)?),
        Protocol::Solo5Hvt => Start::Tender(zip.tender(TenderKind::Hvt, args)?),
        Protocol::Solo5Spt => Start::Tender(zip.tender(TenderKind::Spt, args)?),
        Protocol::Solo5Muen => {
            return Err(zip.refused(
                "it is a subject of a system made with Muen, and nothing else starts it",
                None,
            ));
        }
    };
    // Where nobody can tell, a rule does.
    let unpacked = match protocol {
        Protocol::Linux => glance(artefact, |_| true).ok().map(|it| it.unpacked),
        _ => None,
    };
    Ok(Machine {
        start,
        memory_mib: manifest.memory_mib(unpacked),
        net: manifest.devices.net,
    })
}

fn is_solo5(protocol: Protocol) -> bool {
    matches!(
        protocol,
        Protocol::Solo5Hvt | Protocol::Solo5Spt | Protocol::Solo5Virtio
    )
}

/// A Lunikernel, and where its entries are written to.
struct Zip<'a> {
    artefact: &'a Arc<Artefact>,
    folder: &'a Path,
    /// The command line that its kernel gets.
    cmdline: String,
}

/// What a unikernel's devices are here.
#[derive(Default)]
struct Attached {
    disks: Vec<(String, PathBuf)>,
    nets: Vec<(String, String)>,
}

impl Zip<'_> {
    /// Its kernel, which QEMU loads and enters by `entry`.
    fn kernel(&self, entry: Entry) -> Result<Kernel, Failure> {
        Ok(Kernel {
            file: self.entry(KERNEL)?,
            cmdline: self.cmdline.clone(),
            entry,
        })
    }

    /// The same with the zeros that its multiboot header counts on.
    fn completed(&self, entry: Entry) -> Result<Kernel, Failure> {
        let kernel = self.kernel(entry)?;
        let bytes = fs::read(&kernel.file).map_err(unpacking)?;
        match multiboot::read(&bytes) {
            Ok(Some(image)) if image.missing > 0 => fs::OpenOptions::new()
                .write(true)
                .open(&kernel.file)
                .and_then(|file| file.set_len(image.size))
                .map_err(unpacking)?,
            Ok(_) => {}
            Err(flaw) => return Err(self.refused(&flaw.to_string(), flaw.hint().as_deref())),
        }
        Ok(kernel)
    }

    fn modules(&self) -> Result<Entry, Failure> {
        let modules = Modules::of(self.artefact)?.modules.into_iter();
        let modules = modules.map(|module| {
            Ok(Module {
                file: self.entry(&module.entry)?,
                cmdline: module.cmdline,
            })
        });
        Ok(Entry::Modules(modules.collect::<Result<_, Failure>>()?))
    }

    fn pvh(&self) -> Result<Entry, Failure> {
        if self.kernel_flaw(solo5::read)?.is_ok() {
            return Err(self.refused(
                "it was built for Xen, whose calls it prints with, and QEMU has none",
                Some("run it under Xen, or build it for the virtio target"),
            ));
        }
        if Modules::of(self.artefact)?.modules.len() > 1 {
            let why = "it takes several modules, and QEMU gives a PVH kernel just one";
            return Err(self.refused(why, None));
        }
        self.modules()
    }

    /// A disc that starts it.
    fn disc(&self, context: &Context) -> Result<PathBuf, Failure> {
        // Nothing is fetched for a boot that cannot be.
        boot::find_qemu()?;
        export::disc(self.artefact, &self.cmdline, self.folder, context)
    }

    fn solo5_virtio(&self, args: &Args) -> Result<Entry, Failure> {
        let mut attached = self.attached(args, false)?;
        if attached.disks.len() > 1 {
            return Err(self.refused("it wants several disks, and virtio has one", None));
        }
        Ok(Entry::Solo5Virtio {
            disk: attached.disks.pop().map(|(_, file)| file),
        })
    }

    fn tender(&self, kind: TenderKind, args: &Args) -> Result<Tender, Failure> {
        if !args.net.is_empty() {
            return Err(self.refused(
                "a tender forwards no ports",
                Some("give it an interface of this machine with `--attach DEVICE=INTERFACE`"),
            ));
        }
        if args.interactive {
            return Err(self.refused("a unikernel that is run by a tender takes no input", None));
        }
        let attached = self.attached(args, true)?;
        Ok(Tender {
            kind,
            kernel: self.entry(KERNEL)?,
            cmdline: self.cmdline.clone(),
            program: match args.own_tender {
                true => Some(self.own_tender()?),
                false => args.tender.clone(),
            },
            disks: attached.disks,
            nets: attached.nets,
        })
    }

    /// What the devices are that the unikernel names. A network that QEMU makes needs
    /// nothing here; one that a `tender` opens does.
    fn attached(&self, args: &Args, tender: bool) -> Result<Attached, Failure> {
        let image = self
            .kernel_flaw(solo5::read)?
            .map_err(|flaw| self.refused(&flaw.to_string(), None))?;
        for attach in &args.attach {
            if !image.devices.iter().any(|it| it.name == attach.device) {
                let names: Vec<&str> = image.devices.iter().map(|it| it.name.as_str()).collect();
                let why = match names.as_slice() {
                    [] => format!("it wants no devices, and so no `{}`", attach.device),
                    names => format!(
                        "it has no device `{}`, only `{}`",
                        attach.device,
                        names.join("`, `")
                    ),
                };
                let hint = match names.as_slice() {
                    [] => "leave `--attach` out".to_owned(),
                    [first, ..] => format!("attach one with `--attach {first}={}`", attach.what),
                };
                return Err(self.refused(&why, Some(&hint)));
            }
        }
        let mut attached = Attached::default();
        for device in image.devices {
            let given = args.attach.iter().find(|it| it.device == device.name);
            let given = given.map(|it| it.what.clone());
            match (device.kind, given) {
                (DeviceKind::Block, None) if self.has_disk(&device.name) => {
                    attached.disks.push((device.name, self.entry(BLOCK)?));
                }
                (DeviceKind::Block, Some(what)) => attached.disks.push((device.name, what.into())),
                (DeviceKind::Net, Some(what)) if tender => attached.nets.push((device.name, what)),
                (DeviceKind::Net, _) if !tender => {}
                (kind, _) => {
                    let (what, example) = match kind {
                        DeviceKind::Block => ("disk", "FILE"),
                        DeviceKind::Net => ("network", "INTERFACE"),
                    };
                    let hint = format!("attach one with `--attach {}={example}`", device.name);
                    let why = format!("it wants the {what} `{}`", device.name);
                    return Err(self.refused(&why, Some(&hint)));
                }
            }
        }
        Ok(attached)
    }

    /// Whether the Lunikernel has a disk for the device of that name: its overlays.
    fn has_disk(&self, name: &str) -> bool {
        let manifest = self.artefact.manifest();
        let own = matches!(&manifest.overlay, Overlay::Block { device } if device == name);
        own && manifest.entries.contains_key(BLOCK)
    }

    /// What is to be said of the kernel's bytes.
    fn kernel_flaw<T>(
        &self,
        read: impl Fn(&[u8]) -> Result<T, KernelFlaw>,
    ) -> Result<Result<T, KernelFlaw>, Failure> {
        let bytes = fs::read(self.entry(KERNEL)?).map_err(unpacking)?;
        Ok(read(&bytes))
    }

    /// The tender that is in the Lunikernel, ready to be run.
    fn own_tender(&self) -> Result<PathBuf, Failure> {
        if !self.artefact.manifest().entries.contains_key(TENDER) {
            let hint = "name one that is on this machine with `--tender PATH`";
            return Err(self.refused("it has no tender of its own", Some(hint)));
        }
        let program = self.entry(TENDER)?;
        let runnable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&program, runnable).map_err(unpacking)?;
        Ok(program)
    }

    fn entry(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.folder.join(name.replace('/', "-"));
        let mut content = self.artefact.entry(name)?;
        File::create(&path)
            .and_then(|mut file| io::copy(&mut content, &mut file))
            .map_err(|error| match error.downcast::<ArtefactError>() {
                Ok(damaged) => Failure::from(damaged),
                Err(error) => unpacking(error).into(),
            })?;
        Ok(path)
    }

    fn refused(&self, why: &str, hint: Option<&str>) -> Failure {
        let message = format!("could not boot {}: {why}", self.artefact.label());
        let failure = Failure::new(Exit::BadInput, message);
        match hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

fn unpacking(error: io::Error) -> CacheError {
    CacheError::io("unpack the Lunikernel")(error)
}
