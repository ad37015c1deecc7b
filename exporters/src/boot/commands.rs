//! What GRUB runs, and what it loads.

use std::ops::Range;

use lunikernel_cache::artefact::{INITRAMFS, KERNEL, Protocol};

use super::{BootError, EFI_PROGRAM, System};
use crate::content::Content;
use crate::disc::EFI_IMAGE;
use crate::uki;

/// What GRUB runs first: a serial console beside the screen.
const CONSOLES: &str = "serial --unit=0 --speed=115200\nterminal_output console serial\n";

/// A unified kernel image, of which GRUB takes kernel and initramfs.
pub(super) struct Within<'a> {
    image: &'a uki::Image,
    /// What makes a device `uki` of it.
    found: String,
}

impl<'a> Within<'a> {
    /// One in the file system that GRUB reads.
    pub(super) fn a_disk(image: &'a uki::Image) -> Self {
        let found = format!("loopback uki /{EFI_PROGRAM}\n");
        Self { image, found }
    }

    /// One in the file system for UEFI, which is a file of the one that GRUB reads.
    pub(super) fn a_disc(image: &'a uki::Image) -> Self {
        let found = format!("loopback efi /{EFI_IMAGE}\nloopback uki (efi)/{EFI_PROGRAM}\n");
        Self { image, found }
    }
}

/// What GRUB runs, and the files that it loads.
#[derive(Debug)]
pub(super) struct Commands {
    /// The text of `grub.cfg`.
    pub(super) text: String,
    /// The files beside it, by their paths.
    pub(super) files: Vec<(String, Content)>,
}

impl Commands {
    /// Adds a file.
    pub(super) fn load(&mut self, path: &str, content: Content) {
        self.files.push((path.to_owned(), content));
    }
}

impl System {
    /// What GRUB does to start it. Where a unified kernel image lies beside, GRUB takes
    /// kernel and initramfs out of that, so that they are there once.
    pub(super) fn commands(&self, uki: Option<Within<'_>>) -> Result<Commands, BootError> {
        let mut commands = Commands {
            text: CONSOLES.to_owned(),
            files: Vec::new(),
        };
        match (self.about().boot.protocol, uki) {
            (Protocol::Linux, Some(uki)) => self.linux_within(&uki, &mut commands),
            (Protocol::Linux, None) => self.linux_in_files(&mut commands)?,
            (Protocol::Multiboot | Protocol::Multiboot2 | Protocol::Solo5Virtio, _) => {
                self.multiboot(&mut commands)?;
            }
            _ => return Err(self.refused()),
        }
        commands.text += "boot\n";
        Ok(commands)
    }

    fn linux_in_files(&self, commands: &mut Commands) -> Result<(), BootError> {
        commands.load("vmlinuz", Content::entry(&self.artefact, KERNEL)?);
        commands.text += &format!("linux /vmlinuz{}\n", quoted(&self.cmdline));
        if self.about().entries.contains_key(INITRAMFS) {
            commands.load("initrd.img", Content::entry(&self.artefact, INITRAMFS)?);
            commands.text += "initrd /initrd.img\n";
        }
        Ok(())
    }

    /// The image is made a device of, of which GRUB takes sectors as files. Both begin with
    /// a sector, and Linux passes over the zeros that fill up the last ones: behind the
    /// kernel they lie in memory that it does not read, and between the archives of an
    /// initramfs there may be any number of them (Linux, *initramfs buffer format*).
    fn linux_within(&self, uki: &Within<'_>, commands: &mut Commands) {
        let file = |sectors: &Range<u64>| {
            let count = sectors.end.saturating_sub(sectors.start);
            format!("(uki){}+{count}", sectors.start)
        };
        let Within { image, found } = uki;
        let kernel = file(&image.kernel);
        commands.text += found;
        commands.text += &format!("linux {kernel}{}\n", quoted(&self.cmdline));
        if !image.initramfs.is_empty() {
            commands.text += &format!("initrd {}\n", file(&image.initramfs));
        }
    }
}

/// Each word of a command line with a space before it, and as GRUB's shell takes it for
/// itself: `;`, `$` and `{` mean something there.
pub(super) fn quoted(cmdline: &str) -> String {
    let words = cmdline.split(' ').filter(|it| !it.is_empty());
    words.map(|word| format!(" '{word}'")).collect()
}
