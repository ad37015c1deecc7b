//! What is put around a Lunikernel so that a disk boots it: GRUB and what it reads, and a
//! unified kernel image.

mod beside;
mod commands;
mod disc;
mod multiboot;

use std::sync::Arc;

use lunikernel_cache::artefact::{Artefact, ArtefactError, INITRAMFS, KERNEL, Manifest, Protocol};
use lunikernel_cache::{Digest, Progress};

use crate::checks::Firmware;
use crate::content::Content;
use crate::disk::DiskError;
use crate::fat::FatError;
use crate::hybrid::{Bios, Layout};
use crate::manifest::BootPiece;
use crate::uki::{self, Uki, UkiError};

pub use beside::{Beside, Device, Module};
use commands::Within;

/// Where UEFI looks for what it starts (UEFI 2.10, 3.5.1.1).
const EFI_PROGRAM: &str = "EFI/BOOT/BOOTX64.EFI";
/// Where GRUB's core.img looks for what it runs.
const GRUB_CONFIG: &str = "boot/grub/grub.cfg";
/// The longest command line that a Linux for x86 takes, its NUL apart.
pub const MAX_CMDLINE: usize = 2047;
/// The longest one where the loader may put words of its own in front: GRUB has
/// `BOOT_IMAGE=(uki)3838+27708 `, with numbers of at most seven digits, and for the network
/// come `BOOT_IMAGE=kernel initrd=initramfs.gz `. What is too long would lose its last words.
pub const MAX_CMDLINE_BEHIND: usize = 2000;
pub(crate) const TOO_LONG_BEHIND: &str =
    "it is longer than 2000 characters, and what loads the kernel puts words of its own in front";
/// What GRUB's shell, or GRUB when it hands words on, makes something else of.
const CHANGED_BY_GRUB: [char; 3] = ['\'', '"', '\\'];
const HANDS_ON: &str =
    "GRUB, which starts it under a BIOS, hands on no quotes and backslashes as they are";

/// A part of a boot loader, and what is known about it.
#[derive(Debug, Clone)]
pub struct Piece {
    /// What an export's manifest says of it.
    pub about: BootPiece,
    /// The licence notice that its package comes with.
    pub notice: Arc<Notice>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A licence notice, which goes where the boot loader goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// What it is about, as the name of a file: `grub.txt`.
    pub file: String,
    /// Its text.
    pub text: Vec<u8>,
}

/// The boot loaders.
#[derive(Debug, Clone)]
pub struct Loaders {
    /// GRUB's `boot.img` for BIOSes.
    pub boot_img: Piece,
    /// GRUB's `core.img`, made by `grub-mkimage` to run `grub.cfg` in the folder `boot/grub`
    /// of the second partition.
    pub core_img: Piece,
    /// `cdboot.img` and a core.img in one, made by `grub-mkimage` to run `grub.cfg` in the
    /// folder `boot/grub` of the disc or disk that it was started from.
    pub eltorito_img: Piece,
    /// systemd's `linuxx64.efi.stub`.
    pub stub: Piece,
}

/// A Lunikernel, and how it is to be started.
#[derive(Debug, Clone)]
pub struct System {
    artefact: Arc<Artefact>,
    cmdline: String,
    firmware: Firmware,
    beside: Beside,
    /// The size of its initramfs in bytes once it is unpacked, where that is known.
    unpacked: Option<u64>,
}

/// A Lunikernel cannot be made to boot from a disk.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The artefact lacks something.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    /// The command line cannot be handed on.
    #[error("could not hand on the kernel's command line: {0}")]
    Cmdline(&'static str),
    /// The text of a module cannot be handed on.
    #[error("could not put the text of a module on the disk: {0}")]
    Module(&'static str),
    /// It is not started by any firmware in this way.
    #[error(
        "could not make a disk that boots by {} under {} firmware", protocol.name(), firmware.name()
    )]
    Protocol {
        /// How its kernel is started.
        protocol: Protocol,
        /// What was to start the disk.
        firmware: Firmware,
    },
    /// The unified kernel image cannot be made.
    #[error(transparent)]
    Uki(#[from] UkiError),
    /// The files cannot be on the disk.
    #[error(transparent)]
    Fat(#[from] FatError),
    /// A file is too large for any disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl BootError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Artefact(error) => error.hint(),
            Self::Cmdline(_) => Some("give another one with `--cmdline`".to_owned()),
            Self::Module(_) => {
                Some("change its `cmdline` in `boot.modules` in the recipe".to_owned())
            }
            Self::Protocol { protocol, .. } => match protocol {
                Protocol::Solo5Hvt | Protocol::Solo5Spt => {
                    Some("export it with `--to bundle`".to_owned())
                }
                _ if Firmware::of(*protocol) == Firmware::Bios => {
                    Some("export it with `--firmware bios`".to_owned())
                }
                _ => None,
            },
            Self::Uki(error) => error.hint(),
            Self::Fat(error) => error.hint(),
            Self::Disk(error) => error.hint(),
        }
    }
}

impl System {
    /// A Lunikernel whose kernel gets `cmdline`, on a disk for `firmware`. Words of the
    /// command line come to be one space apart.
    ///
    /// # Errors
    /// [`BootError::Cmdline`] where the command line is longer than [`MAX_CMDLINE`], or than
    /// [`MAX_CMDLINE_BEHIND`] for a Linux that not only UEFI starts, has something else than
    /// visible ASCII and spaces in it, or what GRUB would change.
    pub fn new(
        artefact: Arc<Artefact>,
        cmdline: &str,
        firmware: Firmware,
    ) -> Result<Self, BootError> {
        let words: Vec<&str> = cmdline.split(' ').filter(|it| !it.is_empty()).collect();
        let cmdline = words.join(" ");
        if cmdline.len() > MAX_CMDLINE {
            return Err(BootError::Cmdline("it is longer than 2047 characters"));
        }
        if !cmdline.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(BootError::Cmdline(
                "expected visible ASCII and spaces alone",
            ));
        }
        let protocol = artefact.manifest().boot.protocol;
        let behind = firmware != Firmware::Uefi && protocol == Protocol::Linux;
        if behind && cmdline.len() > MAX_CMDLINE_BEHIND {
            return Err(BootError::Cmdline(TOO_LONG_BEHIND));
        }
        let tender = matches!(protocol, Protocol::Solo5Hvt | Protocol::Solo5Spt);
        if firmware != Firmware::Uefi && !tender && cmdline.contains(CHANGED_BY_GRUB) {
            return Err(BootError::Cmdline(HANDS_ON));
        }
        Ok(Self {
            artefact,
            cmdline,
            firmware,
            beside: Beside::default(),
            unpacked: None,
        })
    }

    /// With an initramfs of so many bytes once it is unpacked.
    #[must_use]
    pub fn with_unpacked(mut self, bytes: Option<u64>) -> Self {
        self.unpacked = bytes;
        self
    }

    /// What the Lunikernel says about itself.
    #[must_use]
    pub fn about(&self) -> &Manifest {
        self.artefact.manifest()
    }

    /// What starts it.
    #[must_use]
    pub fn firmware(&self) -> Firmware {
        self.firmware
    }

    /// The kernel's command line.
    #[must_use]
    pub fn cmdline(&self) -> &str {
        &self.cmdline
    }

    /// The memory that a machine for it needs, in MiB.
    #[must_use]
    pub fn memory_mib(&self) -> u32 {
        self.about().memory_mib(self.unpacked)
    }

    /// The devices that a unikernel wants by name.
    #[must_use]
    pub fn devices(&self) -> &[Device] {
        &self.beside.devices
    }

    /// That the Lunikernel is what it was when its digest was found to be this.
    pub(crate) fn check_again(
        &self,
        digest: &Digest,
        progress: &dyn Progress,
    ) -> Result<(), BootError> {
        Ok(self.artefact.check_again(digest, progress)?)
    }

    /// An entry of the Lunikernel.
    pub(crate) fn entry(&self, name: &str) -> Result<Content, BootError> {
        Ok(Content::entry(&self.artefact, name)?)
    }

    /// The Lunikernel as one EFI program.
    ///
    /// # Errors
    /// [`BootError`] where it is no Linux, or the image cannot be made.
    pub fn uki(&self, loaders: &Loaders) -> Result<uki::Image, BootError> {
        let manifest = self.artefact.manifest();
        if manifest.boot.protocol != Protocol::Linux {
            return Err(self.refused());
        }
        let initramfs = match manifest.entries.contains_key(INITRAMFS) {
            true => Content::entry(&self.artefact, INITRAMFS)?,
            false => Content::bytes([]),
        };
        let uki = Uki {
            stub: loaders.stub.bytes.clone(),
            os_release: os_release(&manifest.name, &manifest.version),
            cmdline: self.cmdline.clone(),
            initramfs,
            kernel: Content::entry(&self.artefact, KERNEL)?,
        };
        Ok(uki.build()?)
    }

    /// The disk that it boots from, of `size` bytes.
    ///
    /// # Errors
    /// [`BootError`] where firmware of that kind does not start it.
    pub fn layout(&self, loaders: &Loaders, size: Option<u64>) -> Result<Layout, BootError> {
        let mut layout = Layout {
            size,
            ..Layout::default()
        };
        let files = &mut layout.files;
        let uki = match self.firmware {
            Firmware::Bios => None,
            Firmware::Uefi | Firmware::Hybrid => Some(self.uki(loaders)?),
        };
        if self.firmware != Firmware::Uefi {
            let commands = self.commands(uki.as_ref().map(Within::a_disk))?;
            for (path, content) in commands.files {
                files.add(&path, content)?;
            }
            files.add(GRUB_CONFIG, Content::bytes(commands.text))?;
            layout.bios = Some(Bios {
                boot_img: loaders.boot_img.bytes.clone(),
                core_img: loaders.core_img.bytes.clone(),
            });
        }
        if let Some(uki) = uki {
            files.add(EFI_PROGRAM, uki.program)?;
        }
        for notice in notices(self.loaded(loaders)) {
            let path = format!("licences/{}", notice.file);
            files.add(&path, Content::bytes(notice.text.as_slice()))?;
        }
        Ok(layout)
    }

    /// The parts of boot loaders that its disk needs.
    #[must_use]
    pub fn pieces<'a>(&self, loaders: &'a Loaders) -> Vec<&'a BootPiece> {
        let pieces = self.loaded(loaders).into_iter();
        pieces.map(|piece| &piece.about).collect()
    }

    fn loaded<'a>(&self, loaders: &'a Loaders) -> Vec<&'a Piece> {
        let mut pieces = Vec::new();
        if self.firmware != Firmware::Uefi {
            pieces.extend([&loaders.boot_img, &loaders.core_img]);
        }
        if self.firmware != Firmware::Bios {
            pieces.push(&loaders.stub);
        }
        pieces
    }

    fn refused(&self) -> BootError {
        BootError::Protocol {
            protocol: self.artefact.manifest().boot.protocol,
            firmware: self.firmware,
        }
    }
}

/// The notices that go with `pieces`, each once, in the order of their names.
fn notices<'a>(pieces: impl IntoIterator<Item = &'a Piece>) -> Vec<Arc<Notice>> {
    let mut notices: Vec<_> = (pieces.into_iter())
        .map(|piece| Arc::clone(&piece.notice))
        .collect();
    notices.sort();
    notices.dedup();
    notices
}

/// What systemd's tools show of the image (os-release(5)). Names and versions of
/// Lunikernels need no more than the quotes.
fn os_release(name: &str, version: &str) -> String {
    let plain = |text: &str| -> String {
        let allowed = |it: &char| it.is_ascii_alphanumeric() || "._+~-".contains(*it);
        text.chars().filter(allowed).collect()
    };
    let (name, version) = (plain(name), plain(version));
    format!(
        "ID=lunikernel\nNAME=\"{name}\"\nPRETTY_NAME=\"{name} {version}\"\nVERSION_ID=\"{version}\"\n"
    )
}
