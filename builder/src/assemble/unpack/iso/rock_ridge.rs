//! The fields of Rock Ridge (IEEE P1282), in the frame of the System Use Sharing
//! Protocol (IEEE P1281): each has a name of two letters, its length, a version.

use std::io::{Read, Seek};

use super::image::Image;
use super::record::number32;
use super::{SECTOR, UnpackError, layout};
use crate::assemble::member::{MAX_NAME, MAX_PATH};

/// How many continuation areas one record may have.
const MAX_AREAS: usize = 64;

/// How many bytes the attributes of CD-ROM XA have, which come before all others.
const XA: usize = 14;

/// Mode and owner of a file.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Posix {
    pub(super) mode: u32,
    pub(super) links: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The number of its inode, where the image has it.
    pub(super) serial: Option<u32>,
}

/// What the fields of one record say.
#[derive(Debug, Default)]
pub(super) struct RockRidge {
    pub(super) name: Option<Vec<u8>>,
    pub(super) posix: Option<Posix>,
    pub(super) target: Option<Vec<u8>>,
    /// Major and minor number.
    pub(super) device: (u32, u32),
    /// Where the folder is that is shown here, because it would lie too deep.
    pub(super) child: Option<u32>,
    /// Whether this is the place where such a folder is stored.
    pub(super) relocated: bool,
    /// How its content is stored, where that is not byte by byte.
    pub(super) packed: Option<&'static str>,
    /// Whether the last part of the link's target goes on.
    open: bool,
}

/// How much to skip before the fields of each record; `None` where the root does not
/// say that there are any. With attributes of CD-ROM XA they are behind those.
pub(super) fn skip(root: &[u8]) -> Option<usize> {
    [0, XA].into_iter().find_map(|at| match root.get(at..)? {
        [b'S', b'P', 7, 1, 0xbe, 0xef, skip, ..] => Some(usize::from(*skip)),
        _ => None,
    })
}

/// Reads the fields in `system_use` and in the areas where it goes on.
pub(super) fn read(
    image: &mut Image<impl Read + Seek>,
    system_use: &[u8],
    skip: usize,
) -> Result<RockRidge, UnpackError> {
    let mut found = RockRidge::default();
    let mut area = system_use.get(skip..).unwrap_or_default().to_vec();
    for _ in 0..MAX_AREAS {
        let Some((block, offset, size)) = fields(&area, &mut found)? else {
            return Ok(found);
        };
        let wrong = |found: String| layout("a continuation area", "one in one sector", found);
        if offset
            .checked_add(size)
            .is_none_or(|end| end > SECTOR as u32)
        {
            return Err(wrong(format!("{size} bytes at {offset}")));
        }
        let at = u64::from(block) * SECTOR as u64 + u64::from(offset);
        area = vec![0; size as usize];
        image.fill(at, &mut area, || "a continuation area".to_owned())?;
    }
    Err(layout(
        "a record",
        format!("at most {MAX_AREAS} continuation areas"),
        "more",
    ))
}

/// Where an area goes on: its block, where in that, and its size.
type Continued = Option<(u32, u32, u32)>;

fn fields(mut area: &[u8], found: &mut RockRidge) -> Result<Continued, UnpackError> {
    let mut continued = None;
    // What is shorter than a field fills the record up.
    while let [a, b, length, _, ..] = area {
        if *length == 0 {
            break;
        }
        let length = usize::from(*length);
        let field = area.get(..length).filter(|field| field.len() >= 4);
        let field = field.ok_or_else(|| {
            layout(
                "a field of Rock Ridge",
                format!("{length} bytes"),
                format!("{}", area.len()),
            )
        })?;
        let number = |at: usize| number32(field, at);
        match &[*a, *b] {
            b"CE" => continued = Some((number(4), number(12), number(20))),
            b"ST" => break,
            b"PX" => {
                found.posix = Some(Posix {
                    mode: number(4),
                    links: number(12),
                    uid: number(20),
                    gid: number(28),
                    serial: (length >= 44).then(|| number(36)),
                });
            }
            b"PN" => found.device = device(number(4), number(12)),
            b"NM" => name(field, found)?,
            b"SL" => target(field, found)?,
            b"CL" => found.child = Some(number(4)),
            b"RE" => found.relocated = true,
            b"SF" => found.packed = Some("sparse"),
            b"ZF" => found.packed = Some("compressed (zisofs)"),
            _ => {}
        }
        area = area.get(length..).unwrap_or_default();
    }
    Ok(continued)
}

/// The number of a device. Some tools have major and minor number in two fields, and
/// some have both in the second, as Linux's libraries put them together.
fn device(high: u32, low: u32) -> (u32, u32) {
    if high == 0 && low > 0xff {
        ((low >> 8) & 0xfff, (low & 0xff) | ((low >> 12) & 0xf_ff00))
    } else {
        (high, low)
    }
}

fn name(field: &[u8], found: &mut RockRidge) -> Result<(), UnpackError> {
    let flags = field.get(4).copied().unwrap_or_default();
    if flags & 0b110 != 0 {
        // `.` and `..`, which have records of their own.
        return Ok(());
    }
    let name = found.name.get_or_insert_default();
    name.extend_from_slice(field.get(5..).unwrap_or_default());
    if name.len() > MAX_NAME {
        return Err(layout(
            "a name",
            format!("at most {MAX_NAME} bytes"),
            "more",
        ));
    }
    Ok(())
}

/// The components of a link's target: `/` stands between them and not in them.
fn target(field: &[u8], found: &mut RockRidge) -> Result<(), UnpackError> {
    let mut rest = field.get(5..).unwrap_or_default();
    let target = found.target.get_or_insert_default();
    while let [flags, size, after @ ..] = rest {
        let (text, after) = after
            .split_at_checked(usize::from(*size))
            .ok_or_else(|| layout("a symbolic link", format!("{size} bytes"), "fewer"))?;
        if !found.open && !target.is_empty() && !target.ends_with(b"/") {
            target.push(b'/');
        }
        match flags & 0b1110 {
            0b0010 => target.push(b'.'),
            0b0100 => target.extend_from_slice(b".."),
            0b1000 => target.push(b'/'),
            _ => target.extend_from_slice(text),
        }
        found.open = flags & 1 != 0;
        if target.len() > MAX_PATH {
            return Err(layout(
                "a symbolic link",
                format!("at most {MAX_PATH} bytes"),
                "more",
            ));
        }
        rest = after;
    }
    Ok(())
}
