//! A disk: sparse, lazy, and all that the formats are made from.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use lunikernel_cache::regular::open_regular;

use crate::content::Content;
use crate::zeros::is_zero;

mod data;

/// The largest disk, in bytes: 4 PiB. Sizes and offsets of it are exact in JSON and
/// can be added to without overflow.
pub const MAX_SIZE: u64 = 1 << 52;

/// A disk that is mostly holes: what no extent covers is zero.
#[derive(Debug, Clone)]
pub struct Disk {
    size: u64,
    /// Sorted, apart from each other, inside the disk, none empty.
    extents: Vec<Extent>,
}

/// Some content and its place.
#[derive(Debug, Clone)]
struct Extent {
    at: u64,
    content: Content,
}

impl Extent {
    fn end(&self) -> u64 {
        self.at + self.content.len()
    }
}

/// Something cannot be on a disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// It is larger than [`MAX_SIZE`].
    #[error("could not make a disk of {0} bytes: the largest has {MAX_SIZE}")]
    TooLarge(u64),
    /// Content would reach beyond the end.
    #[error("could not put {len} bytes at byte {at} of a disk: it has {size} bytes")]
    Beyond {
        /// Where it was to be.
        at: u64,
        /// Its size in bytes.
        len: u64,
        /// The disk's size in bytes.
        size: u64,
    },
    /// Content is there already.
    #[error(
        "could not put bytes {} to {} on a disk: there is content at bytes {} to {}",
        wanted.start, wanted.end, taken.start, taken.end
    )]
    Overlap {
        /// Where it was to be.
        wanted: Range<u64>,
        /// What is there.
        taken: Range<u64>,
    },
}

impl DiskError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::TooLarge(_) => Some("ask for a smaller disk".to_owned()),
            Self::Beyond { at, len, .. } => {
                let needed = at.saturating_add(*len).div_ceil(1 << 20);
                Some(format!("ask for a disk of at least {needed} MiB"))
            }
            Self::Overlap { .. } => None,
        }
    }
}

impl Disk {
    /// A disk of `size` bytes, all of them zero.
    ///
    /// # Errors
    /// [`DiskError::TooLarge`] above [`MAX_SIZE`].
    pub fn new(size: u64) -> Result<Self, DiskError> {
        if size > MAX_SIZE {
            return Err(DiskError::TooLarge(size));
        }
        Ok(Self {
            size,
            extents: Vec::new(),
        })
    }

    /// A raw disk in a regular file, which is read when its bytes are needed. What are holes
    /// in the file are holes of the disk.
    ///
    /// # Errors
    /// Where it cannot be opened, is no regular file, or is larger than [`MAX_SIZE`].
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let file = open_regular(path)?;
        let mut disk = Self::new(file.metadata()?.len()).map_err(io::Error::other)?;
        let extents = data::extents(&file, disk.size);
        let content = Content::new(Arc::new(file), 0, disk.size);
        for extent in extents {
            let part = content.slice(extent.clone());
            disk.put(extent.start, part).map_err(io::Error::other)?;
        }
        Ok(disk)
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many bytes of content it has: what reading all of it costs.
    #[must_use]
    pub fn content_len(&self) -> u64 {
        self.extents.iter().map(|extent| extent.content.len()).sum()
    }

    /// Puts content at byte `at`.
    ///
    /// # Errors
    /// [`DiskError::Beyond`] where the disk ends before it, [`DiskError::Overlap`] where
    /// there is content already.
    pub fn put(&mut self, at: u64, content: Content) -> Result<(), DiskError> {
        let len = content.len();
        let size = self.size;
        let end = at.checked_add(len).filter(|end| *end <= size);
        let end = end.ok_or(DiskError::Beyond { at, len, size })?;
        if len == 0 {
            return Ok(());
        }
        let next = self.extents.partition_point(|extent| extent.end() <= at);
        if let Some(taken) = self.extents.get(next).filter(|extent| extent.at < end) {
            return Err(DiskError::Overlap {
                wanted: at..end,
                taken: taken.at..taken.end(),
            });
        }
        self.extents.insert(next, Extent { at, content });
        Ok(())
    }

    /// Puts the content of another disk, a partition's, with its start at byte `at`.
    ///
    /// # Errors
    /// As [`Disk::put`]. Some of the content may have been put by then.
    pub fn put_disk(&mut self, at: u64, part: &Self) -> Result<(), DiskError> {
        let (len, size) = (part.size, self.size);
        if at.checked_add(len).is_none_or(|end| end > size) {
            return Err(DiskError::Beyond { at, len, size });
        }
        (part.extents.iter()).try_for_each(|it| self.put(at + it.at, it.content.clone()))
    }

    /// Fills `buffer` with the bytes from `at` on. Beyond the end it reads zeros, so that
    /// the last block of a format can be read like the others.
    ///
    /// # Errors
    /// Whatever reading the content gives.
    pub fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let wanted = at..at.saturating_add(buffer.len() as u64);
        let first = self.extents.partition_point(|it| it.end() <= wanted.start);
        let mut done = 0;
        for extent in self.extents.get(first..).unwrap_or_default() {
            if extent.at >= wanted.end {
                break;
            }
            let from = extent.at.max(wanted.start);
            let to = extent.end().min(wanted.end);
            // Both are at most the buffer's length.
            let (start, end) = ((from - at) as usize, (to - at) as usize);
            if let Some(hole) = buffer.get_mut(done..start) {
                hole.fill(0);
            }
            if let Some(part) = buffer.get_mut(start..end) {
                extent.content.read_exact_at(part, from - extent.at)?;
            }
            done = end;
        }
        if let Some(hole) = buffer.get_mut(done..) {
            hole.fill(0);
        }
        Ok(())
    }

    /// Where there may be something: ranges that begin and end at multiples of `block`
    /// bytes (the last may reach beyond the disk's end), sorted, apart from each other,
    /// and covering all content. Nothing is read for it.
    ///
    /// A `block` of 0 counts as 1.
    pub fn occupied(&self, block: u64) -> impl Iterator<Item = Range<u64>> {
        let block = block.max(1);
        let mut extents = self.extents.iter().peekable();
        std::iter::from_fn(move || {
            let first = extents.next()?;
            let start = first.at / block * block;
            let mut end = first.end().next_multiple_of(block);
            while let Some(next) = extents.next_if(|next| next.at / block * block <= end) {
                end = next.end().next_multiple_of(block);
            }
            Some(start..end)
        })
    }

    /// Reads its blocks of `block` bytes, those apart that are all zero.
    #[must_use]
    pub fn blocks(&self, block: usize) -> Blocks<'_> {
        let block = block.max(1);
        Blocks {
            disk: self,
            occupied: Box::new(self.occupied(block as u64)),
            left: 0..0,
            buffer: vec![0; block],
        }
    }

    /// The numbers of the blocks of `block` bytes that are not all zero.
    ///
    /// # Errors
    /// Whatever reading the content gives.
    pub fn used_blocks(&self, block: usize) -> io::Result<Vec<u64>> {
        let (mut blocks, mut used) = (self.blocks(block), Vec::new());
        while let Some((number, _)) = blocks.next_block()? {
            used.push(number);
        }
        Ok(used)
    }
}

/// The blocks of a disk that are not all zero.
pub struct Blocks<'a> {
    disk: &'a Disk,
    occupied: Box<dyn Iterator<Item = Range<u64>> + 'a>,
    left: Range<u64>,
    buffer: Vec<u8>,
}

impl Blocks<'_> {
    /// The number and the bytes of the next block that is not all zero. The disk's last
    /// block is filled up with zeros.
    ///
    /// # Errors
    /// Whatever reading the content gives.
    pub fn next_block(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let number = self.next_into(&mut buffer);
        self.buffer = buffer;
        Ok(number?.map(|number| (number, self.buffer.as_slice())))
    }

    /// Fills a buffer of a block's size with the next block that is not all zero, as
    /// [`Blocks::next_block`] does; gives its number.
    pub(crate) fn next_into(&mut self, buffer: &mut [u8]) -> io::Result<Option<u64>> {
        let block = buffer.len() as u64;
        loop {
            while self.left.is_empty() {
                match self.occupied.next() {
                    Some(range) => self.left = range,
                    None => return Ok(None),
                }
            }
            let at = self.left.start;
            self.left.start += block;
            self.disk.read_at(buffer, at)?;
            if !is_zero(buffer) {
                return Ok(Some(at / block));
            }
        }
    }
}

impl std::fmt::Debug for Blocks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").field("left", &self.left).finish()
    }
}

#[cfg(test)]
mod tests;
