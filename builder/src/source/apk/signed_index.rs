//! `APKINDEX.tar.gz`: a signature member, and behind it what it covers, a tar archive
//! with the index (apk-repositories(5)).

use std::io::{self, Read};

use super::index::{self, IndexError, Package};
use super::keys::{Keys, SignatureError, Voucher};
use crate::assemble::apk::member;

/// The largest index, in bytes, as it is served and unpacked. The largest there are have
/// 3 and 15 MB.
pub(super) const MAX_SIZE: u64 = 64 << 20;
const MAX_UNPACKED: u64 = 128 << 20;

/// An index that was vouched for.
pub(super) struct Index {
    pub(super) voucher: Voucher,
    pub(super) packages: Vec<Package>,
    /// What its maker calls it: `v3.20.3-…`, for example.
    pub(super) description: Option<String>,
}

/// An index is refused.
#[derive(Debug, thiserror::Error)]
pub enum SignedIndexError {
    /// Nobody vouches for it.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It is broken.
    #[error("it cannot be unpacked")]
    Broken(#[source] io::Error),
    /// It unpacks to more than any honest one.
    #[error("it unpacks to more than {MAX_UNPACKED} bytes")]
    TooLarge,
    /// There is no index in it.
    #[error("there is no `APKINDEX` in it")]
    Empty,
    /// It is not text.
    #[error("it is not UTF-8")]
    Encoding,
    /// Its text cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Reads an index, once a key vouches for it: before that only the signature is looked at.
pub(super) fn read(
    bytes: &[u8],
    keys: &Keys,
    repository: usize,
) -> Result<Index, SignedIndexError> {
    let mut rest = bytes;
    let first = member::decompress(&mut rest, member::MAX_SIGNATURES);
    // What unpacks to more than signatures do is an index without any.
    let signatures = match first {
        Ok(first) => member::signatures(&first).map_err(SignatureError::Unreadable)?,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(SignatureError::Unsigned.into());
        }
        Err(error) => return Err(SignedIndexError::Broken(error)),
    };
    let voucher = keys.vouch(&signatures, rest)?;
    let (text, description) = unpack(rest)?;
    Ok(Index {
        voucher,
        packages: index::parse(&text, Some(repository))?,
        description,
    })
}

/// The index's text and what its maker calls it.
fn unpack(bytes: &[u8]) -> Result<(String, Option<String>), SignedIndexError> {
    let mut reader = flate2::bufread::MultiGzDecoder::new(bytes).take(MAX_UNPACKED + 1);
    let read = entries(&mut reader);
    // Where it was cut off, what is wrong behind that is of no interest.
    if reader.limit() == 0 {
        return Err(SignedIndexError::TooLarge);
    }
    read
}

fn entries(reader: &mut impl Read) -> Result<(String, Option<String>), SignedIndexError> {
    let mut archive = tar::Archive::new(reader);
    let (mut text, mut description) = (None, None);
    for entry in archive.entries().map_err(SignedIndexError::Broken)? {
        let mut entry = entry.map_err(SignedIndexError::Broken)?;
        let into = match &*entry.path_bytes() {
            b"APKINDEX" => &mut text,
            b"DESCRIPTION" => &mut description,
            _ => continue,
        };
        let mut content = Vec::new();
        entry
            .read_to_end(&mut content)
            .map_err(SignedIndexError::Broken)?;
        if content.len() as u64 != entry.size() {
            return Err(SignedIndexError::Broken(
                io::ErrorKind::UnexpectedEof.into(),
            ));
        }
        *into = Some(String::from_utf8(content).map_err(|_| SignedIndexError::Encoding)?);
    }
    // Reading to the end has the checksum of the last member compared.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(SignedIndexError::Broken)?;
    let description = description.map(|text| text.trim().to_owned());
    Ok((
        text.ok_or(SignedIndexError::Empty)?,
        description.filter(|text| !text.is_empty()),
    ))
}
