//! What GRUB runs and loads for a unikernel that starts by Multiboot.

use lunikernel_cache::artefact::{KERNEL, Protocol};

use super::{BootError, System, quoted};
use crate::content::Content;
use crate::disk::Disk;
use crate::fat::FileTree;

/// What GRUB calls loading a kernel and loading a module, and whether what it loads finds
/// its own name as the first word of its text. With version 1 it does under the loaders
/// that kernels were written for, QEMU's among them, and they pass over that word; GRUB
/// leaves it out.
struct Commands {
    kernel: &'static str,
    module: &'static str,
    names: bool,
}

impl System {
    /// Adds what GRUB loads to `files`, and gives what it has to run for that.
    pub(super) fn multiboot_files(&self, files: &mut FileTree) -> Result<String, BootError> {
        let Commands {
            kernel,
            module,
            names,
        } = match self.about().boot.protocol {
            Protocol::Multiboot2 => Commands {
                kernel: "multiboot2",
                module: "module2",
                names: false,
            },
            _ => Commands {
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
        files.add(KERNEL, self.complete_kernel()?)?;
        let mut commands = line(kernel, KERNEL, KERNEL, &self.cmdline);
        for it in &self.beside.modules {
            files.add(&it.entry, Content::entry(&self.artefact, &it.entry)?)?;
            let name = it.entry.replace('/', "-");
            commands += &line(module, &it.entry, &name, &it.cmdline);
        }
        Ok(commands)
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
