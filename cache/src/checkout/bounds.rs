//! How much a command may leave in its outputs, wherever it ran.

/// Most entries that are taken; the same as can be read back.
pub const MAX_ENTRIES: usize = 4_000_000;
/// Most bytes that are taken, holes included, and a file under several names once for
/// each: four times what a Lunikernel can hold. A command can make a file of any size in
/// no time, and hashing it would take hours.
pub const MAX_BYTES: u64 = 16 << 30;
/// Most bytes of paths and of targets of links: several times what the packages with
/// most files have. Each entry takes [`EACH`] besides.
pub const MAX_NAMES: u64 = 256 << 20;
/// What each entry takes besides its names, about, in bytes: names of one letter would
/// cost nothing otherwise.
pub const EACH: u64 = 128;
/// The longest path below the folder that is taken from, in bytes: Linux's PATH_MAX
/// without its NUL.
pub const MAX_PATH: usize = 4095;

/// What is left of what the outputs of one command may be, all of them together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputBounds {
    entries: usize,
    bytes: u64,
    names: u64,
}

impl Default for OutputBounds {
    fn default() -> Self {
        Self {
            entries: MAX_ENTRIES,
            bytes: MAX_BYTES,
            names: MAX_NAMES,
        }
    }
}

impl OutputBounds {
    /// Takes note of an entry at `path`.
    pub(super) fn entry(&mut self, path: &str) -> Result<(), &'static str> {
        if path.len() > MAX_PATH {
            return Err("its path is longer than 4095 bytes");
        }
        self.entries = self
            .entries
            .checked_sub(1)
            .ok_or("all outputs together are more than 4,000,000 files")?;
        self.names(EACH + path.len() as u64)
    }

    /// Takes note of a link's target.
    pub(super) fn target(&mut self, target: &str) -> Result<(), &'static str> {
        self.names(target.len() as u64)
    }

    /// Takes note of a file of `size` bytes, under one of its names.
    pub(super) fn file(&mut self, size: u64) -> Result<(), &'static str> {
        self.bytes = self
            .bytes
            .checked_sub(size)
            .ok_or("all outputs together are larger than 16 GiB")?;
        Ok(())
    }

    fn names(&mut self, count: u64) -> Result<(), &'static str> {
        self.names = self
            .names
            .checked_sub(count)
            .ok_or("the names and links of all outputs together take more than 256 MiB")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_targets_count_together() {
        let mut bounds = OutputBounds::default();
        let long = "n".repeat(MAX_PATH);
        let each = EACH + 2 * MAX_PATH as u64;
        for _ in 0..MAX_NAMES / each {
            bounds.entry(&long).unwrap();
            bounds.target(&long).unwrap();
        }
        assert_eq!(bounds.names, MAX_NAMES % each);
        let refused = bounds.entry(&long).and_then(|()| bounds.target(&long));
        assert!(refused.unwrap_err().contains("256 MiB"));
        let longer = "n".repeat(MAX_PATH + 1);
        assert!(OutputBounds::default().entry(&longer).is_err());
    }
}
