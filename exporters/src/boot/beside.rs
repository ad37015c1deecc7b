//! What a unikernel has beside its kernel.

use super::{BootError, CHANGED_BY_GRUB, HANDS_ON, System};

/// What a unikernel has beside its kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// Its modules, in the order in which it finds them.
    pub modules: Vec<Module>,
    /// How many bytes more than it has its multiboot header counts on. They are zeros.
    pub zeros: u64,
    /// The devices that it wants by name, in its order.
    pub devices: Vec<Device>,
}

/// Something that lies in the memory of a unikernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The entry of the Lunikernel with its content.
    pub entry: String,
    /// The text that the unikernel finds with it.
    pub cmdline: String,
}

/// A device that a unikernel wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name for it: visible ASCII.
    pub name: String,
    /// Whether it is a network interface; else it is a disk.
    pub network: bool,
}

impl System {
    /// With what a unikernel has beside its kernel.
    ///
    /// # Errors
    /// [`BootError::Module`] where GRUB could not hand on a module's text.
    pub fn with(mut self, beside: Beside) -> Result<Self, BootError> {
        let changed = |module: &Module| module.cmdline.contains(CHANGED_BY_GRUB);
        if beside.modules.iter().any(changed) {
            return Err(BootError::Module(HANDS_ON));
        }
        self.beside = beside;
        Ok(self)
    }

    /// What lies in its memory beside the kernel.
    pub(crate) fn modules(&self) -> &[Module] {
        &self.beside.modules
    }
}
