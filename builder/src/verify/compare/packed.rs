//! Compressed content: gzip's header, and what is inside.

use std::io::{self, BufRead, BufReader, Read};

use super::bytes::{fill, first_difference};
use super::content::Sided;
use super::walk::{Flaw, Open, Walk, reasons};
use super::{Format, Found, Place, Side, Whole, cpio};
use crate::assemble::codec::Codec;

/// The longest file name in a gzip header that is compared.
const MAX_NAME: u64 = 4096;
/// As much is read of what is too large to be copied.
const MAX_READ: u64 = 16 << 30;

/// Compares what two compressed contents have in their headers, and what they unpack to.
pub(super) fn compare(
    walk: &mut Walk,
    format: Format,
    left: Open<'_>,
    right: Open<'_>,
) -> Result<(), Flaw> {
    let codec = match format {
        Format::Xz => Codec::Xz,
        Format::Zstd => Codec::Zstd,
        Format::Bzip2 => Codec::Bzip2,
        _ => {
            headers(walk, left, right)?;
            Codec::Gzip
        }
    };
    let one = || Ok(codec.reader(left()?));
    let two = || Ok(codec.reader(right()?));
    walk.within(Place::Unpacked { format }, |walk| {
        unpacked(walk, &one, &two)
    })
}

fn unpacked(walk: &mut Walk, left: Open<'_>, right: Open<'_>) -> Result<(), Flaw> {
    let cpio = Some(Format::Cpio);
    // Where only one is, the other is broken, or nothing that the kernel takes.
    if begins(left, Side::Left)? == cpio || begins(right, Side::Right)? == cpio {
        return cpio::compare(walk, left, right);
    }
    // One after the other, as each may take much memory for its window.
    let one = walk.unpack(&mut Sided(left()?, Side::Left));
    let two = match one {
        Ok(_) => walk.unpack(&mut Sided(right()?, Side::Right)),
        Err(_) => Err(Flaw::Whole(Whole::TooLarge)),
    };
    match (one, two) {
        (Ok(one), Ok(two)) => {
            walk.contents(&one, &two)?;
            Ok(())
        }
        (Err(Flaw::Whole(whole)), _) | (Ok(_), Err(Flaw::Whole(whole))) => {
            let one = Sided(left()?.take(MAX_READ), Side::Left);
            let two = Sided(right()?.take(MAX_READ), Side::Right);
            if let Some(bytes) = first_difference(one, two)? {
                walk.note(Found::Content {
                    bytes,
                    reordered: None,
                    whole: Some(whole),
                });
            }
            Ok(())
        }
        (Err(flaw), _) | (_, Err(flaw)) => Err(flaw),
    }
}

/// How the one side's begins.
fn begins(open: Open<'_>, side: Side) -> Result<Option<Format>, Flaw> {
    let mut head = Vec::new();
    fill(&mut Sided(open()?, side), &mut head, 6)?;
    Ok(Format::of_head(&head))
}

/// The fields of a gzip header (RFC 1952, 2.3.1), those that explain others first.
type Header = [(&'static str, String); 6];

/// Notes the first field that differs.
fn headers(walk: &mut Walk, left: Open<'_>, right: Open<'_>) -> Result<(), Flaw> {
    let broken = |side| move |error| Flaw::Broken(None, side, reasons(&error));
    let one = header(left()?).map_err(broken(Side::Left))?;
    let two = header(right()?).map_err(broken(Side::Right))?;
    let mut pairs = one.iter().zip(&two);
    if let Some(((field, left), (_, right))) = pairs.find(|(one, two)| one != two) {
        walk.field(Format::Gzip, field, left, right);
    }
    Ok(())
}

fn header(reader: impl Read) -> io::Result<Header> {
    /// The bit of the flags that says that a name follows.
    const NAME: u8 = 8;
    /// The bit that says that extra fields come before it.
    const EXTRA: u8 = 4;
    let mut reader = BufReader::new(reader);
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
        reader.take(MAX_NAME).read_until(0, &mut name)?;
        name.pop();
    }
    Ok([
        ("FNAME (file name)", name.escape_ascii().to_string()),
        ("MTIME (time stamp)", u32::from_le_bytes(mtime).to_string()),
        ("CM (method)", method.to_string()),
        ("FLG (flags)", format!("{flags:#04x}")),
        ("XFL (effort)", extra_flags.to_string()),
        ("OS (operating system)", system.to_string()),
    ])
}
