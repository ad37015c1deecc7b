//! What starts a Lunikernel where no disk boots: a folder, kept in one archive, of its parts
//! in the form that something else wants them, the configuration of that, a script, and a
//! text that says what else it takes.

mod cloud_hypervisor;
mod firecracker;
mod network;
mod pxe;
mod shell;
mod tender;
mod xen;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use lunikernel_cache::artefact::{INITRAMFS, KERNEL, Protocol};

use crate::boot::{BootError, System};
use crate::content::Content;
use crate::disk::Disk;
use crate::kvm::{NameError, checked};
use crate::tar::{self, File, TarError};
use crate::vmlinux::{self, Vmlinux, VmlinuxError};

/// What a bundle is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Cloud Hypervisor.
    CloudHypervisor,
    /// Firecracker.
    Firecracker,
    /// Machines that boot from the network, by iPXE or PXELINUX.
    Pxe,
    /// Solo5's tenders.
    Tender,
    /// Xen, by `xl`.
    Xen,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CloudHypervisor => "Cloud Hypervisor",
            Self::Firecracker => "Firecracker",
            Self::Pxe => "booting from the network",
            Self::Tender => "a tender of Solo5's",
            Self::Xen => "Xen",
        })
    }
}

/// A bundle cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// What it is for does not start it.
    #[error("could not make a bundle for {kind} of what starts by {}", protocol.name())]
    Protocol {
        /// What the bundle is for.
        kind: Kind,
        /// How its kernel is started.
        protocol: Protocol,
    },
    /// Its kernel has no entry for PVH.
    #[error(
        "could not make a bundle for {0}: its kernel has no entry for PVH, by which {0} starts it"
    )]
    NoEntry(Kind),
    /// Its kernel cannot be unpacked.
    #[error(transparent)]
    Kernel(#[from] VmlinuxError),
    /// Its command line, or the text of a module, cannot be handed on.
    #[error("could not put `{0}` on the kernel's command line: iPXE makes something else of it")]
    Word(String),
    /// Its files cannot be called after it.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The Lunikernel lacks something.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// Its configuration cannot be written.
    #[error("could not write the configuration for {0}: {1}")]
    Config(Kind, String),
    /// The archive cannot be.
    #[error(transparent)]
    Tar(#[from] TarError),
}

impl BundleError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Protocol { protocol, .. } => Some(match protocol {
                Protocol::Solo5Hvt | Protocol::Solo5Spt => {
                    "export it with `--to bundle`".to_owned()
                }
                _ => "export it to a disk, with `--to raw`".to_owned(),
            }),
            Self::NoEntry(_) => {
                Some("take a kernel with `CONFIG_PVH`, or export it with `--to kvm`".to_owned())
            }
            Self::Kernel(error) => error.hint(),
            Self::Word(_) => Some("give another one with `--cmdline`".to_owned()),
            Self::Name(error) => error.hint(),
            Self::Boot(error) => error.hint(),
            Self::Config(..) | Self::Tar(_) => None,
        }
    }

    /// Whether what was asked for is wrong, and not what it met with.
    #[must_use]
    pub fn is_of_the_request(&self) -> bool {
        match self {
            Self::Kernel(error) => error.is_of_the_kernel(),
            _ => true,
        }
    }
}

/// The bundles of one Lunikernel, which share what takes time.
#[derive(Debug)]
pub struct Bundles<'a> {
    guest: Guest<'a>,
}

impl<'a> Bundles<'a> {
    /// Those of `system`. What has to be unpacked for them is kept in `folder` meanwhile, in
    /// a file without a name.
    #[must_use]
    pub fn new(system: &'a System, folder: &'a Path) -> Self {
        Self {
            guest: Guest {
                system,
                folder,
                vmlinux: OnceCell::new(),
            },
        }
    }

    /// The archive of a bundle: all of it in one folder.
    ///
    /// # Errors
    /// [`BundleError`] where what it is for does not start the Lunikernel, or its parts
    /// cannot be in an archive.
    pub fn archive(&self, kind: Kind) -> Result<Disk, BundleError> {
        let name = checked(&self.guest.system.about().name)?;
        let (ending, files) = match kind {
            Kind::CloudHypervisor => (".cloud-hypervisor", cloud_hypervisor::files(&self.guest)?),
            Kind::Firecracker => (".firecracker", firecracker::files(&self.guest)?),
            Kind::Pxe => (".pxe", pxe::files(&self.guest)?),
            Kind::Tender => ("", tender::files(&self.guest)?),
            Kind::Xen => (".xen", xen::files(&self.guest)?),
        };
        let files = files
            .0
            .into_iter()
            .map(|(path, (content, executable))| File {
                path: format!("{name}{ending}/{path}"),
                content,
                executable,
            });
        Ok(tar::archive(&files.collect::<Vec<_>>())?)
    }
}

/// The files of a bundle, by their paths in its folder; and whether they are programs.
#[derive(Debug, Default)]
struct Files(BTreeMap<String, (Content, bool)>);

impl Files {
    fn put(&mut self, path: &str, content: Content) {
        self.0.insert(path.to_owned(), (content, false));
    }

    fn put_program(&mut self, path: &str, content: Content) {
        self.0.insert(path.to_owned(), (content, true));
    }

    fn text(&mut self, path: &str, text: String) {
        self.put(path, Content::bytes(text));
    }

    fn program(&mut self, path: &str, text: String) {
        self.put_program(path, Content::bytes(text));
    }
}

/// What bundles are made from.
#[derive(Debug)]
struct Guest<'a> {
    system: &'a System,
    folder: &'a Path,
    vmlinux: OnceCell<Vmlinux>,
}

/// What those get who load a kernel themselves, where there is no firmware.
struct Loaded {
    /// The kernel, as an ELF file.
    kernel: Content,
    /// The name of the kernel's file.
    file: &'static str,
    initramfs: Option<Content>,
}

impl Guest<'_> {
    /// The name, and the version for people.
    fn label(&self) -> String {
        let about = self.system.about();
        format!("{} {}", about.name, about.version)
    }

    fn initramfs(&self) -> Result<Option<Content>, BundleError> {
        match self.system.about().entries.contains_key(INITRAMFS) {
            true => Ok(Some(self.system.entry(INITRAMFS)?)),
            false => Ok(None),
        }
    }

    /// What `kind` loads. `pvh` tells whether it knows no other way than PVH.
    fn loaded(&self, kind: Kind, pvh: bool) -> Result<Loaded, BundleError> {
        let kernel = self.system.entry(KERNEL)?;
        let file = match self.system.about().boot.protocol {
            Protocol::Linux => "vmlinux",
            // Xen loads those of 32 bits too.
            Protocol::XenPvh if kind == Kind::Xen => {
                return Ok(Loaded {
                    kernel,
                    file: KERNEL,
                    initramfs: None,
                });
            }
            Protocol::XenPvh => KERNEL,
            protocol => return Err(BundleError::Protocol { kind, protocol }),
        };
        let vmlinux = match self.vmlinux.get() {
            Some(vmlinux) => vmlinux,
            None => {
                let unpacked = vmlinux::unpack(&kernel, self.folder)?;
                self.vmlinux.get_or_init(|| unpacked)
            }
        };
        if pvh && !vmlinux.pvh {
            return Err(BundleError::NoEntry(kind));
        }
        Ok(Loaded {
            kernel: vmlinux.content.clone(),
            file,
            initramfs: self.initramfs()?,
        })
    }
}

impl Loaded {
    /// Adds its files to those of a bundle.
    fn put(self, files: &mut Files) {
        files.put(self.file, self.kernel);
        if let Some(initramfs) = self.initramfs {
            files.put(INITRAMFS, initramfs);
        }
    }
}
