//! The kernel of a Linux for x86 as those load it who start virtual machines without
//! firmware: the ELF file that is packed in a bzImage.
//!
//! A bzImage says where its payload lies (the kernel's *Linux/x86 Boot Protocol*, fields
//! `payload_offset` and `payload_length`): the kernel proper, packed, and behind it the size
//! that it had, in four bytes. What is unpacked here is the payload as it is, with whatever
//! its maker put behind the ELF file.

mod elf;
mod lz4;
#[cfg(test)]
mod tests;

use std::io::{self, BufReader, Read, Write as _};
use std::path::Path;
use std::sync::Arc;

use fs_err::File;

use crate::content::Content;
use crate::error::hint_for;
use elf::Flaw;

/// The largest kernel that is unpacked, in bytes. Distributions' have 60 MiB.
pub const MAX_SIZE: u64 = 256 << 20;
/// The most memory that unpacking may take for what it looks back at, in bytes: as much as
/// kernels are packed with at most.
const MAX_WINDOW: u32 = 128 << 20;
/// The part of a bzImage with the fields that are read, in bytes.
const HEADER: usize = 0x250;
/// The version of the boot protocol that brought the payload's fields.
const FIRST_VERSION: u16 = 0x208;

/// A kernel that can be loaded.
#[derive(Debug, Clone)]
pub struct Vmlinux {
    /// The ELF file.
    pub content: Content,
    /// Whether it has an entry for PVH.
    pub pvh: bool,
}

/// A kernel cannot be unpacked. Each continues "could not unpack the kernel".
#[derive(Debug, thiserror::Error)]
pub enum VmlinuxError {
    /// It is neither packed nor unpacked.
    #[error("could not unpack the kernel: expected a bzImage of Linux for x86, or an ELF file")]
    Kind,
    /// It is from before 2008, and does not tell where what it unpacks lies.
    #[error(
        "could not unpack the kernel: it is for version {}.{:02} of the boot protocol, and 2.08 is the first that says where what is packed lies",
        .0 >> 8, .0 & 0xff
    )]
    Version(u16),
    /// It is packed in a way that is not known.
    #[error(
        "could not unpack the kernel: what is packed in it begins with {0:02x?}, and gzip, xz, zstd and LZ4 are known"
    )]
    Codec([u8; 4]),
    /// What is packed does not unpack.
    #[error("could not unpack the kernel: it is damaged")]
    Damaged(#[source] io::Error),
    /// It says another size than it has, or lies outside.
    #[error("could not unpack the kernel: it has {actual} bytes, and says that it has {expected}")]
    Size {
        /// What it says, in bytes.
        expected: u64,
        /// What there is, in bytes.
        actual: u64,
    },
    /// It is larger than [`MAX_SIZE`].
    #[error(
        "could not unpack the kernel: it says that it has {0} bytes, and {MAX_SIZE} are the most"
    )]
    TooLarge(u64),
    /// What comes out cannot be loaded.
    #[error("could not unpack the kernel: what comes out cannot be loaded: {0}")]
    Elf(&'static str),
    /// What comes out could not be kept.
    #[error("could not keep the unpacked kernel")]
    Keep(#[source] io::Error),
    /// The kernel could not be read.
    #[error("could not read the kernel")]
    Read(#[source] io::Error),
}

impl VmlinuxError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Keep(source) => hint_for(source),
            Self::Read(_) => None,
            _ => Some("export it to a disk, with `--to raw` or `--to kvm`".to_owned()),
        }
    }

    /// Whether the kernel is wrong, and not what unpacking it met with.
    #[must_use]
    pub fn is_of_the_kernel(&self) -> bool {
        !matches!(self, Self::Keep(_) | Self::Read(_))
    }
}

impl From<Flaw> for VmlinuxError {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Elf(why) => Self::Elf(why),
            Flaw::Read(source) => Self::Read(source),
        }
    }
}

/// The ELF file in `kernel`, or `kernel` itself where it is one. What is unpacked is kept in
/// a file without a name in `folder`.
///
/// # Errors
/// [`VmlinuxError`] where there is none that can be loaded, or no room for it.
pub fn unpack(kernel: &Content, folder: &Path) -> Result<Vmlinux, VmlinuxError> {
    let mut header = [0; HEADER];
    let len = kernel.len().min(HEADER as u64);
    let (begin, _) = header.split_at_mut(len as usize);
    kernel.read_exact_at(begin, 0).map_err(VmlinuxError::Read)?;
    let content = match header.starts_with(&elf::MAGIC) {
        true => kernel.clone(),
        false => unpacked(&payload(kernel, &header)?, folder)?,
    };
    let pvh = elf::check(&content)?;
    Ok(Vmlinux { content, pvh })
}

/// What is packed in a bzImage.
fn payload(kernel: &Content, header: &[u8; HEADER]) -> Result<Content, VmlinuxError> {
    if header[0x202..0x206] != *b"HdrS" {
        return Err(VmlinuxError::Kind);
    }
    let version = u16::from_le_bytes([header[0x206], header[0x207]]);
    if version < FIRST_VERSION {
        return Err(VmlinuxError::Version(version));
    }
    let number = |at: usize| u64::from(u32_at(header, at));
    // No sectors stand for four, as there were in the beginning.
    let sectors = match header[0x1f1] {
        0 => 4,
        sectors => u64::from(sectors),
    };
    let start = (sectors + 1) * 512 + number(0x248);
    let end = start + number(0x24c);
    if end > kernel.len() || end - start < 8 {
        let actual = kernel.len().saturating_sub(start);
        let expected = end - start;
        return Err(VmlinuxError::Size { expected, actual });
    }
    Ok(kernel.slice(start..end))
}

fn unpacked(payload: &Content, folder: &Path) -> Result<Content, VmlinuxError> {
    let (mut magic, mut size) = ([0; 4], [0; 4]);
    let tail = payload.len() - 4;
    let read = |bytes: &mut [u8], at| payload.read_exact_at(bytes, at);
    (read(&mut magic, 0).and_then(|()| read(&mut size, tail))).map_err(VmlinuxError::Read)?;
    let reader = reader(payload, magic)?;
    let expected = u64::from(u32::from_le_bytes(size));
    if expected > MAX_SIZE {
        return Err(VmlinuxError::TooLarge(expected));
    }
    // One more than it says, so that it is noticed where there is more.
    let mut reader = reader.take(expected + 1);
    let mut file = tempfile::tempfile_in(folder)
        .map(|file| File::from_parts(file, folder.join("the unpacked kernel")))
        .map_err(VmlinuxError::Keep)?;
    let (mut buffer, mut actual) = (vec![0; 256 << 10], 0);
    loop {
        let count = reader.read(&mut buffer).map_err(VmlinuxError::Damaged)?;
        if count == 0 {
            break;
        }
        let part = buffer.get(..count).unwrap_or_default();
        file.write_all(part).map_err(VmlinuxError::Keep)?;
        actual += count as u64;
    }
    match actual == expected {
        true => Ok(Content::new(Arc::new(file), 0, actual)),
        false => Err(VmlinuxError::Size { expected, actual }),
    }
}

/// What unpacks `payload`, which begins with `magic`.
fn reader(payload: &Content, magic: [u8; 4]) -> Result<Box<dyn Read>, VmlinuxError> {
    let all = BufReader::with_capacity(64 << 10, Reader::of(payload.clone()));
    // gzip has the size as a part of its format, and the others behind what is theirs.
    let packed = payload.slice(0..payload.len() - 4);
    let packed = BufReader::with_capacity(64 << 10, Reader::of(packed));
    let failed = VmlinuxError::Damaged;
    Ok(match magic {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::GzDecoder::new(all)),
        [0xfd, b'7', b'z', b'X'] => Box::new(lzma_rust2::XzReader::new_mem_limit(
            packed,
            false,
            MAX_WINDOW >> 10,
        )),
        [0x28, 0xb5, 0x2f, 0xfd] => {
            let window = u64::from(MAX_WINDOW);
            let decoder =
                ruzstd::decoding::StreamingDecoder::new_with_max_window_size(packed, window);
            Box::new(decoder.map_err(|error| {
                failed(io::Error::new(
                    io::ErrorKind::InvalidData,
                    error.to_string(),
                ))
            })?)
        }
        lz4::MAGIC => Box::new(lz4::Legacy::new(packed).map_err(failed)?),
        other => return Err(VmlinuxError::Codec(other)),
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk);
    u32::from_le_bytes(found.copied().unwrap_or_default())
}

/// Reads content from front to back.
struct Reader {
    content: Content,
    at: u64,
}

impl Reader {
    fn of(content: Content) -> Self {
        Self { content, at: 0 }
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.content.len() - self.at).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let part = buffer.get_mut(..count).unwrap_or_default();
        self.content.read_exact_at(part, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
