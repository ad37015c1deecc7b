//! How much memory a machine for a Lunikernel needs.

use super::{INITRAMFS, Manifest, Protocol};

/// What a Linux needs for itself, in MiB: its kernel, unpacked, and what it runs.
const LINUX: u64 = 128;
/// How much larger than its gzip an initramfs is, where nobody looked.
const RATIO: u64 = 2;

impl Manifest {
    /// The memory in MiB that a machine for it needs: what it says itself, or what a Linux
    /// takes to unpack its initramfs where that is more, as it can be after an overlay.
    /// `unpacked` is the size of the initramfs in bytes once it is unpacked, where that is
    /// known.
    #[must_use]
    pub fn memory_mib(&self, unpacked: Option<u64>) -> u32 {
        let said = self.boot.min_memory_mib;
        match self.entries.get(INITRAMFS) {
            Some(initramfs) if self.boot.protocol == Protocol::Linux => {
                said.max(unpacking_mib(initramfs.size, unpacked))
            }
            // What a unikernel needs, only its recipe knows.
            _ => said,
        }
    }
}

/// The memory in MiB that a Linux takes to unpack an initramfs of `packed` bytes, which are
/// `unpacked` bytes then, where that is known.
///
/// It goes into a file system that takes up to half of what the kernel and the initramfs as
/// it is leave (Linux, `Documentation/filesystems/tmpfs.rst`, `size`).
#[must_use]
pub fn unpacking_mib(packed: u64, unpacked: Option<u64>) -> u32 {
    let unpacked = unpacked.unwrap_or(packed.saturating_mul(RATIO));
    let bytes = packed.saturating_add(unpacked.saturating_mul(2));
    u32::try_from(LINUX + bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::{Boot, Entry};
    use super::*;
    use crate::Sha256;

    #[test]
    fn a_linux_needs_what_it_says_or_what_unpacking_takes() {
        let needs = |protocol, said, unpacked| {
            let boot = Boot {
                protocol,
                cmdline: String::new(),
                min_memory_mib: said,
            };
            let mut manifest = Manifest::new("it", "1", "it", "x86_64", boot);
            let entry = Entry {
                sha256: Sha256::of(b""),
                size: 10 << 20,
                executable: false,
            };
            manifest.entries.insert(INITRAMFS.to_owned(), entry);
            manifest.memory_mib(unpacked)
        };
        assert_eq!(needs(Protocol::Linux, 64, Some(30 << 20)), 198);
        assert_eq!(needs(Protocol::Linux, 64, None), 178);
        assert_eq!(needs(Protocol::Linux, 256, Some(30 << 20)), 256);
        assert_eq!(needs(Protocol::Multiboot, 64, Some(30 << 20)), 64);
    }

    #[test]
    fn unpacking_takes_twice_what_comes_of_it_and_what_is_packed() {
        assert_eq!(unpacking_mib(10 << 20, Some(30 << 20)), 128 + 10 + 60);
        assert_eq!(unpacking_mib(10 << 20, None), 128 + 10 + 40);
        assert_eq!(unpacking_mib(0, Some(1)), 129);
        assert_eq!(unpacking_mib(u64::MAX, Some(u64::MAX)), u32::MAX);
    }
}
