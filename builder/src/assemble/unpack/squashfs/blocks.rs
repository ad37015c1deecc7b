//! The superblock, and reading compressed blocks.

use std::io::{self, Read, Seek, SeekFrom};

use super::UnpackError;
use crate::assemble::codec::Codec;

/// How much a metadata block holds, at most, in bytes.
pub(super) const METADATA: usize = 8192;
/// A metadata block that is stored as it is has this bit in its size.
const METADATA_STORED: u16 = 1 << 15;
/// A block of content that is stored as it is has this bit in its size.
const STORED: u32 = 1 << 24;
/// The largest block of content, in bytes.
const MAX_BLOCK: u32 = 1 << 20;
/// How many metadata blocks are kept: folders and inodes are read in turn.
const KEPT: usize = 16;
/// How many fragments are kept: files are not read in the order in which their ends
/// were put into fragments.
const FRAGMENTS_KEPT: usize = 4;
/// Where a table is that is not there.
pub(super) const NONE: u64 = u64::MAX;

/// An image with what its superblock says.
pub(super) struct Image<R> {
    file: R,
    codec: Compressor,
    /// Metadata blocks that were read last: place, content, where the next one is.
    kept: Vec<(u64, Vec<u8>, u64)>,
    /// Fragments that were read last, by their place.
    fragments_kept: Vec<(u64, Vec<u8>)>,
    /// How much may still be read from blocks, in bytes: they may be named many times.
    budget: u64,
    pub(super) block_size: u32,
    pub(super) owners: u16,
    pub(super) fragments: u32,
    pub(super) owner_table: u64,
    pub(super) xattr_table: u64,
    pub(super) inodes: u64,
    pub(super) directories: u64,
    pub(super) fragment_table: u64,
    /// The inode of the root.
    pub(super) root: u64,
}

/// The compressors by their numbers in the superblock.
#[derive(Debug, Clone, Copy)]
enum Compressor {
    Zlib,
    Other(Codec),
}

pub(super) fn layout(
    part: impl Into<String>,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> UnpackError {
    UnpackError::layout("the squashfs image", part, expected, found)
}

pub(super) fn damaged(part: &str) -> impl Fn(io::Error) -> UnpackError {
    UnpackError::damaged(format!("{part} of the squashfs image"))
}

/// A number of `N` bytes at `at`; zero where the bytes end before.
macro_rules! number {
    ($bytes:expr, $at:expr, $kind:ty) => {{
        let bytes: &[u8] = &$bytes;
        let part = bytes.get($at..).and_then(|rest| rest.first_chunk());
        part.map_or(0, |part| <$kind>::from_le_bytes(*part))
    }};
}
pub(super) use number;

impl<R: Read + Seek> Image<R> {
    /// Reads the superblock. At most `budget` bytes will be read from blocks.
    pub(super) fn open(mut file: R, budget: u64) -> Result<Self, UnpackError> {
        let part = "the superblock";
        let mut bytes = [0; 96];
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(damaged(part))?;
        let (major, minor) = (number!(bytes, 28, u16), number!(bytes, 30, u16));
        if (major, minor) != (4, 0) {
            return Err(layout(part, "version 4.0", format!("{major}.{minor}")));
        }
        let (block_size, log) = (number!(bytes, 12, u32), number!(bytes, 22, u16));
        if !(4096..=MAX_BLOCK).contains(&block_size)
            || 1u32.checked_shl(log.into()) != Some(block_size)
        {
            return Err(layout(
                part,
                "a block size that is a power of two from 4 KiB to 1 MiB",
                format!("{block_size} bytes and 2^{log}"),
            ));
        }
        let codec = match number!(bytes, 20, u16) {
            1 => Compressor::Zlib,
            4 => Compressor::Other(Codec::Xz),
            6 => Compressor::Other(Codec::Zstd),
            other => {
                let name = ["none", "gzip", "lzma", "lzo", "xz", "lz4", "zstd"];
                let name = name.get(usize::from(other)).unwrap_or(&"an unknown one");
                return Err(layout(part, "the compressor gzip, xz or zstd", *name));
            }
        };
        Ok(Self {
            file,
            codec,
            kept: Vec::new(),
            fragments_kept: Vec::new(),
            budget,
            block_size,
            owners: number!(bytes, 26, u16),
            fragments: number!(bytes, 16, u32),
            root: number!(bytes, 32, u64),
            owner_table: number!(bytes, 48, u64),
            xattr_table: number!(bytes, 56, u64),
            inodes: number!(bytes, 64, u64),
            directories: number!(bytes, 72, u64),
            fragment_table: number!(bytes, 80, u64),
        })
    }

    /// `size` bytes at `at`, as they are.
    pub(super) fn raw(&mut self, at: u64, size: usize, part: &str) -> Result<Vec<u8>, UnpackError> {
        let mut bytes = Vec::new();
        self.file
            .seek(SeekFrom::Start(at))
            .and_then(|_| self.file.by_ref().take(size as u64).read_to_end(&mut bytes))
            .and_then(|count| match count == size {
                true => Ok(bytes),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            })
            .map_err(damaged(part))
    }

    /// Content that is stored at `at`; `size` is as the image has it, with the bit
    /// that says whether it is compressed. At most a block.
    pub(super) fn block(&mut self, at: u64, size: u32, part: &str) -> Result<Vec<u8>, UnpackError> {
        let stored = size & !STORED;
        if stored > self.block_size {
            return Err(layout(
                part,
                format!("at most {} bytes", self.block_size),
                format!("{stored}"),
            ));
        }
        let bytes = self.raw(at, stored as usize, part)?;
        if size & STORED != 0 {
            self.charge(stored.into(), part)?;
            return Ok(bytes);
        }
        self.inflate(&bytes, self.block_size as usize, part)
    }

    /// The fragment that is stored at `at`.
    pub(super) fn fragment(&mut self, at: u64, size: u32) -> Result<&[u8], UnpackError> {
        let part = "a fragment";
        if let Some(position) = self.fragments_kept.iter().position(|kept| kept.0 == at) {
            let fragment = self.fragments_kept.remove(position);
            self.fragments_kept.push(fragment);
        } else {
            let bytes = self.block(at, size, part)?;
            if self.fragments_kept.len() == FRAGMENTS_KEPT {
                self.fragments_kept.remove(0);
            }
            self.fragments_kept.push((at, bytes));
        }
        let last = self.fragments_kept.last();
        last.map(|(_, bytes)| bytes.as_slice())
            .ok_or_else(|| layout(part, "a block", "none"))
    }

    fn inflate(&mut self, bytes: &[u8], most: usize, part: &str) -> Result<Vec<u8>, UnpackError> {
        let reader: Box<dyn Read + '_> = match self.codec {
            Compressor::Zlib => Box::new(flate2::bufread::ZlibDecoder::new(bytes)),
            Compressor::Other(codec) => codec.first(bytes),
        };
        let mut inflated = Vec::new();
        reader
            .take(most as u64 + 1)
            .read_to_end(&mut inflated)
            .map_err(damaged(part))?;
        if inflated.len() > most {
            return Err(layout(
                part,
                format!("at most {most} bytes when decompressed"),
                "more",
            ));
        }
        // What is compressed badly costs its own size.
        self.charge(inflated.len().max(bytes.len()) as u64, part)?;
        Ok(inflated)
    }

    /// Takes note of `size` bytes that are worked on.
    pub(super) fn charge(&mut self, size: u64, part: &str) -> Result<(), UnpackError> {
        self.budget = self.budget.checked_sub(size).ok_or_else(|| {
            layout(
                part,
                "a block that is read a few times",
                "one read too often",
            )
        })?;
        Ok(())
    }

    /// Position in `kept` of the metadata block at `at`, which is the last.
    fn metadata(&mut self, at: u64, part: &str) -> Result<&(u64, Vec<u8>, u64), UnpackError> {
        if let Some(position) = self.kept.iter().position(|(place, ..)| *place == at) {
            let block = self.kept.remove(position);
            self.kept.push(block);
        } else {
            let header = self.raw(at, 2, part)?;
            let header = number!(header, 0, u16);
            let size = usize::from(header & !METADATA_STORED);
            if size == 0 || size > METADATA {
                return Err(layout(part, "1 to 8192 bytes", format!("{size}")));
            }
            let start = at.saturating_add(2);
            let bytes = self.raw(start, size, part)?;
            let block = match header & METADATA_STORED {
                0 => self.inflate(&bytes, METADATA, part)?,
                _ => {
                    self.charge(size as u64, part)?;
                    bytes
                }
            };
            if self.kept.len() == KEPT {
                self.kept.remove(0);
            }
            self.kept
                .push((at, block, start.saturating_add(size as u64)));
        }
        self.kept
            .last()
            .ok_or_else(|| layout(part, "a block", "none"))
    }
}

/// A place in a row of metadata blocks, from which is read on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    block: u64,
    offset: usize,
}

impl Cursor {
    /// The place `offset` in the decompressed block that is stored at `block`.
    pub(super) fn new(block: u64, offset: u16) -> Self {
        Self {
            block,
            offset: offset.into(),
        }
    }

    /// The next `size` bytes, over the ends of blocks.
    pub(super) fn bytes<R: Read + Seek>(
        &mut self,
        image: &mut Image<R>,
        size: usize,
        part: &str,
    ) -> Result<Vec<u8>, UnpackError> {
        let mut bytes = Vec::new();
        while bytes.len() < size {
            let (_, block, next) = image.metadata(self.block, part)?;
            let rest = block.get(self.offset..).unwrap_or_default();
            let count = rest.len().min(size - bytes.len());
            bytes.extend_from_slice(rest.get(..count).unwrap_or_default());
            self.offset += count;
            if bytes.len() < size {
                // An end within the last block would go on for ever.
                if self.offset > block.len() || block.is_empty() {
                    return Err(layout(part, format!("{size} bytes"), "fewer"));
                }
                (self.block, self.offset) = (*next, 0);
            }
        }
        Ok(bytes)
    }

    /// The next `N` bytes.
    pub(super) fn array<R: Read + Seek, const N: usize>(
        &mut self,
        image: &mut Image<R>,
        part: &str,
    ) -> Result<[u8; N], UnpackError> {
        let bytes = self.bytes(image, N, part)?;
        <[u8; N]>::try_from(bytes).map_err(|_| layout(part, format!("{N} bytes"), "fewer"))
    }
}
