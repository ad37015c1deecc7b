//! Archives of any kind that a source may be, unpacked into a [`Rootfs`].
//!
//! What a file is, its content says and never its name: [`sniff`] tells the formats
//! apart, and there is a reader for each. All metadata is kept (modes, owners, devices,
//! hard links, symbolic links, attributes); time stamps and names of owners are dropped.

mod error;
mod initramfs;
mod iso;
mod squashfs;

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use lunikernel_cache::{BlobStore, Digest, HashingReader, Rootfs};

use super::codec::Codec;
use super::member::{self, Collector, Keep, KeepError, Limits, MemberError};
use super::tarball;
pub use error::UnpackError;

/// Up to this size any archive may unpack to, in bytes; beyond, to at most
/// [`MAX_RATIO`] times its own size.
const FREE_SIZE: u64 = 256 << 20;
/// Sparse squashfs images of real systems stay below 50.
const MAX_RATIO: u64 = 200;

/// The format of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// tar: POSIX, GNU, or older.
    Tar(Codec),
    /// One or more cpio archives of the format "newc", as an initramfs is.
    Cpio,
    /// squashfs 4.0.
    Squashfs,
    /// ISO 9660, with Rock Ridge or without.
    Iso,
}

impl Format {
    /// All formats, for messages.
    pub const ALL: &'static str = "tar or cpio (newc), as they are or compressed by gzip, bzip2, \
                                   xz or zstd; squashfs; ISO 9660";
}

/// Says what format the file has; `None` where it is no archive that can be unpacked.
///
/// # Errors
/// [`UnpackError::Damaged`] where it cannot be read.
pub fn sniff(file: &mut (impl Read + Seek)) -> Result<Option<Format>, UnpackError> {
    let damaged = UnpackError::damaged("its beginning");
    let mut magic = Vec::new();
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.by_ref().take(6).read_to_end(&mut magic))
        .map_err(&damaged)?;
    let codec = Codec::of_magic(&magic);
    file.seek(SeekFrom::Start(0)).map_err(&damaged)?;
    let mut head = Vec::new();
    let read = codec
        .first(BufReader::new(&mut *file))
        .take(512)
        .read_to_end(&mut head);
    if codec != Codec::Plain && head.len() < 6 {
        // Something that is compressed and broken from its beginning.
        read.map_err(&damaged)?;
    }
    Ok(if head.starts_with(super::cpio::MAGIC) {
        Some(Format::Cpio)
    } else if is_tar(&head) {
        Some(Format::Tar(codec))
    } else if codec == Codec::Plain && head.starts_with(squashfs::MAGIC) {
        Some(Format::Squashfs)
    } else if is_iso(file).map_err(&damaged)? {
        Some(Format::Iso)
    } else {
        None
    })
}

/// Whether it has a volume descriptor; what is before that may be anything.
fn is_iso(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let mut magic = Vec::new();
    file.seek(SeekFrom::Start(iso::FIRST + 1))?;
    file.by_ref()
        .take(iso::MAGIC.len() as u64)
        .read_to_end(&mut magic)?;
    Ok(magic == iso::MAGIC)
}

/// Whether the block is a tar header: its checksum says so, whatever its dialect.
fn is_tar(block: &[u8]) -> bool {
    let Ok(block) = <&[u8; 512]>::try_from(block) else {
        return false;
    };
    let (before, rest) = block.split_at(148);
    let (field, after) = rest.split_at(8);
    let others = before.iter().chain(after).map(|byte| u32::from(*byte));
    let sum = others.sum::<u32>() + 8 * u32::from(b' ');
    let digits: String = field
        .iter()
        .map(|byte| char::from(*byte))
        .skip_while(|c| *c == ' ')
        .take_while(char::is_ascii_digit)
        .collect();
    u32::from_str_radix(&digits, 8).is_ok_and(|told| told == sum)
}

/// Unpacks the archive that is the blob `digest`, its content into the store; `None`
/// where it is no archive.
///
/// A pure function: the same digest gives the same root. No link is followed out of
/// the root, and nothing created outside the store.
///
/// # Errors
/// [`UnpackError`], which names the member.
pub fn unpack(blobs: &BlobStore, digest: &Digest) -> Result<Option<Rootfs>, UnpackError> {
    let mut file = blobs.open(digest).map_err(MemberError::from)?;
    read(&mut file, digest.size, &mut |content, size| {
        member::store(blobs, content, size)
    })
}

/// Reads the archive, giving the content of its files to `keep`; `None` where it is none.
pub(crate) fn read(
    file: &mut (impl Read + Seek),
    size: u64,
    keep: &mut Keep<'_>,
) -> Result<Option<Rootfs>, UnpackError> {
    let usual = Limits::default();
    let limits = Limits {
        total: usual
            .total
            .min(FREE_SIZE.max(size.saturating_mul(MAX_RATIO))),
        devices: true,
        twice: true,
        ..usual
    };
    let format = sniff(file)?;
    file.seek(SeekFrom::Start(0))
        .map_err(UnpackError::damaged("its beginning"))?;
    Ok(match format {
        None => None,
        Some(Format::Tar(codec)) => Some(tarball::read(codec.reader(file), limits, keep)?),
        Some(Format::Cpio) => {
            let input = BufReader::with_capacity(256 << 10, file);
            Some(initramfs::read(input, Collector::new(limits, keep))?)
        }
        Some(Format::Squashfs) => Some(squashfs::read(file, Collector::new(limits, keep))?),
        Some(Format::Iso) => Some(iso::read(file, Collector::new(limits, keep))?),
    })
}

/// Reads `bytes` as an archive without storing anything; for fuzzing.
///
/// # Errors
/// As [`unpack`].
pub fn fuzz(bytes: &[u8]) -> Result<Option<Rootfs>, UnpackError> {
    let mut file = io::Cursor::new(bytes);
    read(&mut file, bytes.len() as u64, &mut |content, _| {
        let mut content = HashingReader::new(content);
        io::copy(&mut content, &mut io::sink()).map_err(KeepError::Read)?;
        Ok(content.finish())
    })
}

#[cfg(test)]
mod tests;
