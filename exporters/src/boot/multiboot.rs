//! What GRUB runs and loads for a unikernel that starts by Multiboot.

use lunikernel_cache::artefact::{KERNEL, Protocol};

use super::commands::{Commands, quoted};
use super::{BootError, System};
use crate::content::Content;
use crate::disk::Disk;

/// What GRUB calls loading a kernel and loading a module, and whether what it loads finds
/// its own name as the first word of its text. With version 1 it does under the loaders
/// that kernels were written for, QEMU's among them, and they pass over that word; GRUB
/// leaves it out.
struct Dialect {
    kernel: &'static str,
    module: &'static str,
    names: bool,
}

impl System {
    /// Adds what GRUB has to run and to load.
    pub(super) fn multiboot(&self, commands: &mut Commands) -> Result<(), BootError> {
        let Dialect {
            kernel,
            module,
            names,
        } = match self.about().boot.protocol {
            Protocol::Multiboot2 => Dialect {
                kernel: "multiboot2",
                module: "module2",
                names: false,
            },
            _ => Dialect {
                kernel: "multiboot",
                module: "module",
                names: true,
            },
        };
        let line = |command: &str, file: &str, name: &str, text: &str| {
            let name = if names {
                format!(" {name}")
            } else {
                String::new()
            };
            format!("{command} /{file}{name}{}\n", quoted(text))
        };
        commands.load(KERNEL, self.complete_kernel()?);
        commands.text += &line(kernel, KERNEL, KERNEL, &self.cmdline);
        for it in &self.beside.modules {
            commands.load(&it.entry, Content::entry(&self.artefact, &it.entry)?);
            let name = it.entry.replace('/', "-");
            commands.text += &line(module, &it.entry, &name, &it.cmdline);
        }
        Ok(())
    }

    /// The kernel, and the zeros that its header counts on behind it.
    pub(crate) fn complete_kernel(&self) -> Result<Content, BootError> {
        let kernel = Content::entry(&self.artefact, KERNEL)?;
        if self.beside.zeros == 0 {
            return Ok(kernel);
        }
        let mut whole = Disk::new(kernel.len().saturating_add(self.beside.zeros))?;
        whole.put(0, kernel)?;
        Ok(whole.into())
    }
}
