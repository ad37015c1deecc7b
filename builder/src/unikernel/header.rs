//! Numbers of a header that may be anywhere in the beginning of a file.

/// The number of 32 bits, little-endian, at byte `at`.
pub(super) fn u32_at(file: &[u8], at: usize) -> Option<u32> {
    let bytes = file.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

/// The number of 16 bits, little-endian, at byte `at`.
pub(super) fn u16_at(file: &[u8], at: usize) -> Option<u16> {
    let bytes = file.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes))
}

/// Where `magic` is among the first `within` bytes, at multiples of `step`.
pub(super) fn places(
    file: &[u8],
    magic: u32,
    within: usize,
    step: usize,
) -> impl Iterator<Item = usize> + '_ {
    let places = (0..within.min(file.len())).step_by(step);
    places.filter(move |at| u32_at(file, *at) == Some(magic))
}

/// The addresses that a multiboot header gives for loading a file, whatever its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Addresses {
    /// Where the header itself is in the memory.
    pub(super) header: u32,
    /// Where the first byte is that is loaded.
    pub(super) load: u32,
    /// Behind the last one; 0 for the end of the file.
    pub(super) load_end: u32,
    /// Behind the zeros that follow; 0 where there are none.
    pub(super) bss_end: u32,
}

/// The part of a file that is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// The first byte of it, in the file.
    pub(super) start: u64,
    /// Behind its last byte, in the file, as the header says.
    pub(super) end: u64,
    /// Where it is put.
    load: u32,
}

impl Part {
    /// Whether it has this address when it is loaded.
    pub(super) fn has(&self, address: u32) -> bool {
        let at = address.checked_sub(self.load).map(u64::from);
        at.is_some_and(|at| at < self.end - self.start)
    }
}

/// How many bytes a header may want beyond the end of the file: linkers round the end of
/// data up to a page (4096 bytes), and tools that strip a file cut these zeros off.
const MOST_MISSING: u64 = 4095;

impl Addresses {
    /// The part of a file of `size` bytes that is loaded, if its header is at byte `at`.
    /// An error continues "its header …".
    pub(super) fn part(&self, at: u64, size: u64) -> Result<Part, String> {
        let Self {
            header,
            load,
            load_end,
            bss_end,
        } = *self;
        let before = header.checked_sub(load).map(u64::from);
        let start = before.and_then(|before| at.checked_sub(before));
        let Some(start) = start else {
            return Err(format!(
                "is at {header:#x} in the memory, and loading begins at {load:#x}, which is not in the file"
            ));
        };
        let end = match load_end {
            0 => size,
            end if end > load => start + u64::from(end - load),
            end => {
                return Err(format!(
                    "loads from {load:#x} to {end:#x}, which is nothing"
                ));
            }
        };
        if end > size + MOST_MISSING {
            return Err(format!(
                "loads {} bytes from byte {start} on, and the file ends at byte {size}",
                end - start
            ));
        }
        if start + u64::from(u32::MAX - load) < end {
            return Err("loads beyond 4 GiB".to_owned());
        }
        let loaded = u64::from(load) + (end - start);
        if bss_end != 0 && u64::from(bss_end) < loaded {
            return Err(format!(
                "has zeros up to {bss_end:#x}, and loads up to {loaded:#x}"
            ));
        }
        Ok(Part { start, end, load })
    }
}
