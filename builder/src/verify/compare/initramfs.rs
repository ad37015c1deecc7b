//! The first difference between two initramfs: gzip header, member, field, byte.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::io::{self, BufRead, Read};

use lunikernel_cache::artefact::{Artefact, INITRAMFS};

use super::bytes::{Bytes, first_difference};
use super::{CompareError, Format, Found, Place, Side, buffered, raw, read_error};
use crate::assemble::cpio::{CpioReader, Header, ReadError, read_gzip};

/// As much as is unpacked to be compared. An initramfs lives in memory, so none that
/// can be booted comes near; it bounds the time that a bomb can take.
const MAX_UNPACKED: u64 = 16 << 30;

/// The longest file name in a gzip header that is compared.
const MAX_GZIP_NAME: u64 = 4096;

/// Compares two that are known to differ.
pub(super) fn compare(
    left: &Artefact,
    right: &Artefact,
) -> Result<(Vec<Place>, Found), CompareError> {
    let headers = (gzip_header(left)?, gzip_header(right)?);
    if let Some(found) = compare_gzip(&headers.0, &headers.1) {
        return Ok((Vec::new(), found));
    }
    let one = read_gzip(buffered(left, INITRAMFS)?, MAX_UNPACKED);
    let two = read_gzip(buffered(right, INITRAMFS)?, MAX_UNPACKED);
    let bytes = || raw(INITRAMFS, left, right);
    match compare_archives(one, two) {
        Ok(Some((name, found))) => {
            let unpacked = Place::Unpacked {
                format: Format::Gzip,
            };
            let member = Place::Member {
                format: Format::Cpio,
                name,
            };
            Ok((vec![unpacked, member], found))
        }
        Ok(None) => Ok((
            Vec::new(),
            Found::Packing {
                format: Format::Cpio,
                bytes: bytes()?,
            },
        )),
        Err((side, error)) => Ok((
            Vec::new(),
            Found::Unreadable {
                format: Format::Cpio,
                side,
                why: reasons(&error),
                bytes: bytes()?,
            },
        )),
    }
}

/// An error and what caused it, in one line.
fn reasons(error: &ReadError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// The fields of a gzip header, each as it is shown.
type GzipHeader = [(&'static str, String); 6];

fn gzip_header(artefact: &Artefact) -> Result<GzipHeader, CompareError> {
    read_gzip_header(buffered(artefact, INITRAMFS)?).map_err(read_error(INITRAMFS))
}

fn read_gzip_header(mut reader: impl BufRead) -> io::Result<GzipHeader> {
    /// The bit of the flags that says that a name follows.
    const NAME: u8 = 8;
    /// The bit that says that extra fields come before it.
    const EXTRA: u8 = 4;
    let mut header = [0; 10];
    reader.read_exact(&mut header)?;
    let [_, _, method, flags, mtime @ .., extra_flags, system] = header;
    if flags & EXTRA != 0 {
        let mut length = [0; 2];
        reader.read_exact(&mut length)?;
        let length = u64::from(u16::from_le_bytes(length));
        io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
    }
    let mut name = Vec::new();
    if flags & NAME != 0 {
        reader.take(MAX_GZIP_NAME).read_until(0, &mut name)?;
    }
    Ok([
        ("the file name (FNAME)", name.escape_ascii().to_string()),
        (
            "the time stamp (MTIME)",
            u32::from_le_bytes(mtime).to_string(),
        ),
        ("the method (CM)", method.to_string()),
        ("the flags (FLG)", format!("{flags:#04x}")),
        ("the effort (XFL)", extra_flags.to_string()),
        ("the operating system (OS)", system.to_string()),
    ])
}

fn compare_gzip(left: &GzipHeader, right: &GzipHeader) -> Option<Found> {
    let mut pairs = left.iter().zip(right);
    let ((field, left), (_, right)) = pairs.find(|(one, two)| one != two)?;
    Some(Found::Field {
        format: Format::Gzip,
        field: (*field).to_owned(),
        left: left.clone(),
        right: right.clone(),
    })
}

type Failed = (Side, ReadError);

/// The first member that differs, and how.
fn compare_archives(
    mut left: CpioReader<impl Read>,
    mut right: CpioReader<impl Read>,
) -> Result<Option<(String, Found)>, Failed> {
    let mut position = 0;
    loop {
        let one = left.next_header().map_err(|it| (Side::Left, it))?;
        let two = right.next_header().map_err(|it| (Side::Right, it))?;
        let (one, two) = match (one, two) {
            (None, None) => return Ok(None),
            (Some(one), None) => return Ok(Some(presence(one.path, Side::Left))),
            (None, Some(two)) => return Ok(Some(presence(two.path, Side::Right))),
            (Some(one), Some(two)) => (one, two),
        };
        if one.path != two.path {
            return order(left, one.path, right, two.path, position).map(Some);
        }
        if let Some(change) = compare_members(&mut left, &one, &mut right, &two)? {
            return Ok(Some((one.path, change)));
        }
        position += 1;
    }
}

fn presence(path: String, only_in: Side) -> (String, Found) {
    (path, Found::Presence { only_in })
}

/// Two members in the same place have two names: either one of them is missing on
/// the other side, or they come in another order.
fn order(
    left: CpioReader<impl Read>,
    one: String,
    right: CpioReader<impl Read>,
    two: String,
    position: u64,
) -> Result<(String, Found), Failed> {
    let rest_of_right = paths(right).map_err(|it| (Side::Right, it))?;
    if !rest_of_right.contains(&one) {
        return Ok(presence(one, Side::Left));
    }
    let rest_of_left = paths(left).map_err(|it| (Side::Left, it))?;
    if !rest_of_left.contains(&two) {
        return Ok(presence(two, Side::Right));
    }
    let instead = two;
    let order = Found::Order {
        format: Format::Cpio,
        position,
        left: one.clone(),
        right: instead,
    };
    Ok((one, order))
}

fn paths(mut reader: CpioReader<impl Read>) -> Result<BTreeSet<String>, ReadError> {
    let mut paths = BTreeSet::new();
    while let Some(header) = reader.next_header()? {
        paths.insert(header.path);
    }
    Ok(paths)
}

/// What causes comes before what follows: a size differs because the content does.
fn compare_members(
    left: &mut CpioReader<impl Read>,
    one: &Header,
    right: &mut CpioReader<impl Read>,
    two: &Header,
) -> Result<Option<Found>, Failed> {
    let own = fields_of_the_file(one).into_iter();
    if let Some(change) = field(own.zip(fields_of_the_file(two))) {
        return Ok(Some(change));
    }
    let compared = first_difference(Content(left, Side::Left), Content(right, Side::Right));
    match compared {
        Ok(Some(bytes)) => {
            return Ok(Some(Found::Content {
                bytes,
                reordered: None,
                whole: None,
            }));
        }
        Ok(None) => {}
        Err(source) => return Err(unreadable(one, source)),
    }
    let archive = fields_of_the_archive(one).into_iter();
    Ok(field(archive.zip(fields_of_the_archive(two))))
}

type Field = (&'static str, String);

fn fields_of_the_file(header: &Header) -> [Field; 5] {
    let (major, minor) = header.own_device;
    [
        ("mode", format!("{:o}", header.mode)),
        ("uid", header.uid.to_string()),
        ("gid", header.gid.to_string()),
        ("mtime", header.mtime.to_string()),
        ("rdev", format!("{major}:{minor}")),
    ]
}

fn fields_of_the_archive(header: &Header) -> [Field; 4] {
    let (major, minor) = header.device;
    [
        ("nlink", header.links.to_string()),
        ("ino", header.inode.to_string()),
        ("dev", format!("{major}:{minor}")),
        ("archive", header.segment.to_string()),
    ]
}

fn field(mut pairs: impl Iterator<Item = (Field, Field)>) -> Option<Found> {
    let ((field, left), (_, right)) = pairs.find(|(one, two)| one != two)?;
    Some(Found::Field {
        format: Format::Cpio,
        field: field.to_owned(),
        left,
        right,
    })
}

/// Reads a member's content, and remembers in an error which side it was.
struct Content<'a, R>(&'a mut CpioReader<R>, Side);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct OnSide(io::Error, Side);

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0
            .read(buffer)
            .map_err(|error| io::Error::new(error.kind(), OnSide(error, self.1)))
    }
}

fn unreadable(header: &Header, source: io::Error) -> Failed {
    let side = source.get_ref().and_then(|it| it.downcast_ref());
    let side = side.map_or(Side::Left, |OnSide(_, side)| *side);
    let error = ReadError::Read {
        what: format!("the content of `{}`", header.path),
        offset: header.content_offset,
        source,
    };
    (side, error)
}
