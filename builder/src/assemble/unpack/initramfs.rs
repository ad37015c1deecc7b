//! newc archives one behind the other, each plain or compressed in its own way, as the
//! kernel unpacks an initramfs (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeMap;
use std::io::{BufRead, Read};

use lunikernel_cache::{Digest, Node, NodeKind, Rootfs};

use super::UnpackError;
use crate::assemble::codec::Codec;
use crate::assemble::cpio::{CpioReader, Header, ReadError, file_type};
use crate::assemble::member::{Collector, MemberError, refused};

/// How much headers, names and padding of all archives together may take besides the
/// content, in bytes.
const SLACK: u64 = 1 << 30;

/// Reads all archives; what is in a later one goes over what is in those before it.
pub(super) fn read(input: impl BufRead, into: Collector<'_, '_>) -> Result<Rootfs, UnpackError> {
    let whole = into.left().saturating_add(SLACK);
    read_within(input, into, whole)
}

/// As [`read`], with at most `whole` bytes of all archives together.
pub(super) fn read_within(
    mut input: impl BufRead,
    mut into: Collector<'_, '_>,
    whole: u64,
) -> Result<Rootfs, UnpackError> {
    let damaged = UnpackError::damaged("the beginning of a cpio archive");
    let mut archives = 0;
    let mut left = whole;
    loop {
        let start = input.fill_buf().map_err(&damaged)?;
        match start.first() {
            None => return Ok(into.finish()),
            Some(0) => {
                let zeros = start.iter().take_while(|byte| **byte == 0).count();
                input.consume(zeros);
                continue;
            }
            Some(_) => {}
        }
        let codec = Codec::of_magic(start);
        let read = if codec == Codec::Plain {
            segments(CpioReader::one(&mut input, left), archives, &mut into)
        } else {
            let inner = codec.first(&mut input);
            segments(CpioReader::new(inner, left), archives, &mut into)
        };
        let (more, size) = read.map_err(|error| of_all(error, whole))?;
        archives += more;
        left = left.saturating_sub(size);
    }
}

/// The error that says what is allowed for all archives, and not what was left of that.
fn of_all(error: UnpackError, whole: u64) -> UnpackError {
    match error {
        UnpackError::Cpio(ReadError::Bomb {
            unit: unit @ "bytes",
            ..
        }) => ReadError::Bomb { limit: whole, unit }.into(),
        other => other,
    }
}

/// The names of one file.
struct Links {
    /// What the group is called in the root.
    link: String,
    /// Where they are, with links followed.
    places: Vec<String>,
    content: Digest,
}

/// Reads the archives in one stream and says how many there were and how many bytes;
/// `before` is how many came before it.
fn segments(
    mut reader: CpioReader<impl Read>,
    before: u32,
    into: &mut Collector<'_, '_>,
) -> Result<(u32, u64), UnpackError> {
    let mut links = BTreeMap::new();
    let mut segment = 0;
    while let Some(header) = reader.next_header()? {
        into.announce(&header.path)?;
        if header.segment != segment {
            // Inode numbers mean nothing beyond their archive.
            segment = header.segment;
            links.clear();
        }
        let node = Node {
            uid: header.uid,
            gid: header.gid,
            ..Node::of(header.mode & 0o7777, NodeKind::Folder)
        };
        let (major, minor) = header.own_device;
        let kind = match header.mode & file_type::MASK {
            file_type::FILE => {
                let size = u64::from(header.size);
                let content = into.content(&header.path, &mut reader, size)?;
                file(&header, content, before + segment, &mut links, into)?
            }
            file_type::SYMLINK => {
                let mut target = String::new();
                reader
                    .read_to_string(&mut target)
                    .map_err(|source| MemberError::Content {
                        member: header.path.clone(),
                        source,
                    })?;
                if target.contains('\0') {
                    let why = "its target has a NUL in it";
                    return Err(refused(&header.path, why).into());
                }
                NodeKind::Symlink { target }
            }
            file_type::CHAR => NodeKind::CharDevice { major, minor },
            file_type::BLOCK => NodeKind::BlockDevice { major, minor },
            file_type::FIFO => NodeKind::Fifo,
            _ => NodeKind::Folder,
        };
        let mode = match kind {
            NodeKind::Symlink { .. } => 0o777,
            _ => node.mode,
        };
        into.insert(&header.path, Node { mode, kind, ..node })?;
    }
    Ok((segment + 1, reader.offset()))
}

/// A file, which may be one that was there under another name. Which of its names
/// carries the content is up to the archiver: GNU cpio takes the last. Several may carry
/// it, as long as it is the same.
fn file(
    header: &Header,
    content: Digest,
    segment: u32,
    links: &mut BTreeMap<(u32, u32, u32), Links>,
    into: &mut Collector<'_, '_>,
) -> Result<NodeKind, MemberError> {
    if header.links < 2 {
        return Ok(NodeKind::File {
            content,
            link: None,
        });
    }
    let key = (header.device.0, header.device.1, header.inode);
    let group = links.entry(key).or_insert_with(|| Links {
        link: format!("{segment}:{}", header.path),
        places: Vec::new(),
        content,
    });
    if header.size > 0 && group.content != content {
        if group.content.size > 0 {
            return Err(refused(
                &header.path,
                "another name of the same file has other content",
            ));
        }
        group.content = content;
        for place in &group.places {
            give_content(place, &group.link, content, into)?;
        }
    }
    let place = into.root().locate(&header.path);
    let place = place.ok_or_else(|| refused(&header.path, "links on its way lead nowhere"))?;
    group.places.push(place);
    Ok(NodeKind::File {
        content: group.content,
        link: Some(group.link.clone()),
    })
}

/// Gives the file at `place`, which was empty so far, the content that came with another
/// of its names.
fn give_content(
    place: &str,
    group: &str,
    content: Digest,
    into: &mut Collector<'_, '_>,
) -> Result<(), MemberError> {
    let node = into.root().get(place).cloned();
    let lost = || refused(place, "it is not there any more when its content comes");
    let mut node = node.ok_or_else(lost)?;
    match &mut node.kind {
        NodeKind::File {
            content: own,
            link: Some(link),
        } if link == group => *own = content,
        _ => return Err(lost()),
    }
    into.replace(place, place, node)
}
