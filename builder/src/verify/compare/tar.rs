//! The members of a tar archive: old, GNU's or POSIX's (pax).

use lunikernel_cache::Digest;

use super::content::Content;
use super::members::{Broken, Member, Members, name_of};

const BLOCK: u64 = 512;
/// The largest extra header that is read, in bytes.
const MAX_EXTRA: u64 = 64 << 10;
/// The longest map of a sparse file that is read, in bytes: about a million of its parts.
const MAX_MAP: usize = 24 << 20;
/// A part of a sparse file in its map: its offset and its size.
const PART: usize = 24;
/// The parts of a longer map are not shown one by one.
const SHOWN: usize = 8;

pub(super) fn members(content: &Content, room: usize) -> Result<Members, Broken> {
    let mut members = Members::up_to(room);
    let mut extra = Extra::default();
    let mut at = 0;
    while at < content.size() {
        let begin = at;
        let flaw = |what: &str| Broken::Flaw(format!("{what} at byte {begin}"));
        let block = content.bytes(at, BLOCK as usize)?;
        if block.iter().all(|byte| *byte == 0) {
            break;
        }
        let mut header = tar::Header::new_old();
        if block.len() as u64 != BLOCK {
            return Err(flaw("a header is cut off"));
        }
        header.as_mut_bytes().copy_from_slice(&block);
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        let own = block.get(148..156).unwrap_or_default();
        let own: u64 = own.iter().map(|byte| u64::from(*byte)).sum();
        if header.cksum().ok().map(u64::from) != Some(sum - own + 8 * u64::from(b' ')) {
            return Err(flaw("a header does not have its checksum"));
        }
        let kind = header.entry_type();
        let mut size = match (kind.is_hard_link(), kind.is_symlink()) {
            (false, false) => header
                .entry_size()
                .map_err(|_| flaw("a size is no number"))?,
            _ => 0,
        };
        let is_extra = kind.is_gnu_longname()
            || kind.is_gnu_longlink()
            || kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions();
        if !is_extra && let Some(real) = extra.take("size") {
            size = real.parse().map_err(|_| flaw("a pax size is no number"))?;
        }
        let mut start = at + BLOCK;
        let sparse = if kind.is_gnu_sparse() {
            let map = Sparse::read(content, &block, &mut start)?;
            Some(map.ok_or_else(|| flaw("the map of a sparse file is cut off or too long"))?)
        } else {
            None
        };
        let whole = content
            .part(start, size)
            .ok_or_else(|| flaw("a member ends behind the archive"))?;
        at = start + size.next_multiple_of(BLOCK);
        if !is_extra {
            let name = extra.take("path");
            let name = name.unwrap_or_else(|| name_of(&header.path_bytes()));
            let name = name.trim_start_matches("./").trim_start_matches('/');
            let mut fields = fields(&header, std::mem::take(&mut extra));
            fields.extend(sparse.iter().flat_map(Sparse::fields));
            members.push(Member {
                name: if name.is_empty() { "." } else { name }.to_owned(),
                fields,
                content: whole,
                deflated: false,
            })?;
            continue;
        }
        if size > MAX_EXTRA {
            return Err(flaw("an extra header is too large"));
        }
        let bytes = whole.bytes(0, MAX_EXTRA as usize)?;
        let text = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
        if kind.is_gnu_longname() {
            extra.0.push(("path".to_owned(), name_of(text)));
        } else if kind.is_gnu_longlink() {
            extra.0.push(("linkpath".to_owned(), name_of(text)));
        } else if kind.is_pax_local_extensions() {
            extra.records(&bytes);
        } else {
            let mut global = Extra::default();
            global.records(&bytes);
            members.push(Member {
                name: "(global header)".to_owned(),
                fields: global.0,
                content: whole,
                deflated: false,
            })?;
        }
    }
    Ok(members)
}

/// Where the parts of a sparse file belong, as GNU's tar has it: four parts in the
/// header, and 21 in each of the blocks that follow. The content is these parts without
/// what is between them.
#[derive(Debug)]
struct Sparse {
    size: u64,
    /// Offsets and sizes, as they are in the archive.
    map: Vec<u8>,
}

impl Sparse {
    /// Reads it from a header, and from the blocks at `at`, which is then behind them.
    /// `None` where it is cut off or too long.
    fn read(content: &Content, header: &[u8], at: &mut u64) -> Result<Option<Self>, Broken> {
        let mut map = header.get(386..482).unwrap_or_default().to_vec();
        let mut goes_on = header.get(482).is_some_and(|byte| *byte != 0);
        while goes_on {
            let block = content.bytes(*at, BLOCK as usize)?;
            let Some((parts, end)) = block.split_at_checked(21 * PART) else {
                return Ok(None);
            };
            if map.len() + parts.len() > MAX_MAP {
                return Ok(None);
            }
            map.extend_from_slice(parts);
            goes_on = end.first().is_some_and(|byte| *byte != 0);
            *at += BLOCK;
        }
        let used = map.chunks(PART).take_while(|part| part.first() != Some(&0));
        map.truncate(used.count() * PART);
        let size = number(header.get(483..495).unwrap_or_default());
        Ok(Some(Self { size, map }))
    }

    fn fields(&self) -> [(String, String); 2] {
        let parts = self.map.chunks(PART).map(|part| {
            let (offset, size) = part.split_at_checked(PART / 2).unwrap_or_default();
            format!("{}+{}", number(offset), number(size))
        });
        let count = parts.len();
        let map = if count <= SHOWN {
            parts.collect::<Vec<_>>().join(" ")
        } else {
            format!(
                "{count} parts, sha256 {}",
                Digest::of(&self.map).sha256.hex()
            )
        };
        [
            ("realsize".to_owned(), self.size.to_string()),
            ("sparse map".to_owned(), map),
        ]
    }
}

/// A number as GNU's tar writes it: octal digits, or binary after a byte of 0x80.
fn number(field: &[u8]) -> u64 {
    match field.split_first() {
        Some((0x80, binary)) => {
            let low = binary.last_chunk::<8>();
            low.map_or(0, |bytes| u64::from_be_bytes(*bytes))
        }
        _ => {
            let digits = field.iter().skip_while(|byte| **byte == b' ');
            let digits = digits.take_while(|byte| matches!(byte, b'0'..=b'7'));
            digits.fold(0, |value: u64, digit| {
                value.wrapping_mul(8).wrapping_add(u64::from(digit - b'0'))
            })
        }
    }
}

/// What extra headers say of the next member.
#[derive(Debug, Default)]
struct Extra(Vec<(String, String)>);

impl Extra {
    /// Reads pax records, `LENGTH KEY=VALUE` with a newline each, as far as they are
    /// right.
    fn records(&mut self, mut bytes: &[u8]) {
        while let Some(blank) = bytes.iter().position(|byte| *byte == b' ') {
            let (length, _) = bytes.split_at(blank);
            let length = str::from_utf8(length).ok().and_then(|it| it.parse().ok());
            let Some((record, rest)) = length.and_then(|it| bytes.split_at_checked(it)) else {
                return;
            };
            let record = record.get(blank + 1..).unwrap_or_default();
            let record = record.strip_suffix(b"\n").unwrap_or(record);
            let Some(equals) = record.iter().position(|byte| *byte == b'=') else {
                return;
            };
            let (key, value) = record.split_at(equals);
            let value = value.strip_prefix(b"=").unwrap_or(value);
            self.0.push((name_of(key), name_of(value)));
            bytes = rest;
        }
    }

    /// The last record of a key, which is taken out.
    fn take(&mut self, key: &str) -> Option<String> {
        let mut last = None;
        self.0.retain_mut(|(name, value)| {
            if name != key {
                return true;
            }
            last = Some(std::mem::take(value));
            false
        });
        last
    }
}

fn fields(header: &tar::Header, mut extra: Extra) -> Vec<(String, String)> {
    let number = |value: std::io::Result<u64>| {
        value.map_or_else(|_| "no number".to_owned(), |it| it.to_string())
    };
    let text = |bytes: Option<&[u8]>| bytes.map(name_of).unwrap_or_default();
    let device = |value: std::io::Result<Option<u32>>| match value {
        Ok(value) => value.unwrap_or_default().to_string(),
        Err(_) => "no number".to_owned(),
    };
    let link = extra.take("linkpath");
    let link = link.unwrap_or_else(|| text(header.link_name_bytes().as_deref()));
    let mode = header.mode();
    let mode = mode.map_or_else(|_| "no number".to_owned(), |mode| format!("{mode:o}"));
    let kind = header.entry_type().as_byte();
    let fields = [
        ("type", char::from(kind).escape_default().to_string()),
        ("mtime", number(header.mtime())),
        ("mode", mode),
        ("uid", number(header.uid())),
        ("gid", number(header.gid())),
        ("uname", text(header.username_bytes())),
        ("gname", text(header.groupname_bytes())),
        ("linkname", link),
        ("devmajor", device(header.device_major())),
        ("devminor", device(header.device_minor())),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    let extra = extra.0.into_iter();
    let extra = extra.map(|(name, value)| (format!("pax {name}"), value));
    fields.into_iter().chain(extra).collect()
}
