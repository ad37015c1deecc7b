//! Inodes.

use std::io::{Read, Seek};

use super::UnpackError;
use super::blocks::{Cursor, Image, layout, number};
use crate::assemble::member::MAX_PATH;

/// What is no fragment, and no attribute.
pub(super) const NOTHING: u32 = u32::MAX;

/// What an inode says.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    pub(super) mode: u32,
    /// Positions in the table of owners.
    pub(super) uid: u16,
    pub(super) gid: u16,
    /// Position in the table of attributes, or [`NOTHING`].
    pub(super) xattr: u32,
    pub(super) kind: Kind,
}

/// What an inode is.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Folder {
        block: u32,
        offset: u16,
        size: u32,
    },
    File {
        /// Where its blocks begin.
        start: u64,
        size: u64,
        links: u32,
        /// Number of the fragment with its end, or [`NOTHING`], and where in it.
        fragment: u32,
        offset: u32,
        /// Where the sizes of its blocks are.
        sizes: Cursor,
    },
    Symlink {
        target: Vec<u8>,
    },
    Char {
        major: u32,
        minor: u32,
    },
    Block {
        major: u32,
        minor: u32,
    },
    Fifo,
}

impl Inode {
    /// The inode that `reference` names: the place of its block and its place in that.
    pub(super) fn read<R: Read + Seek>(
        image: &mut Image<R>,
        reference: u64,
    ) -> Result<Self, UnpackError> {
        let part = "an inode";
        let block = image.inodes.saturating_add(reference >> 16);
        let mut cursor = Cursor::new(block, (reference & 0xffff) as u16);
        let head: [u8; 16] = cursor.array(image, part)?;
        let mut xattr = NOTHING;
        let kind = match number!(head, 0, u16) {
            1 => {
                let bytes: [u8; 16] = cursor.array(image, part)?;
                Kind::Folder {
                    block: number!(bytes, 0, u32),
                    size: number!(bytes, 8, u16).into(),
                    offset: number!(bytes, 10, u16),
                }
            }
            8 => {
                let bytes: [u8; 24] = cursor.array(image, part)?;
                xattr = number!(bytes, 20, u32);
                Kind::Folder {
                    size: number!(bytes, 4, u32),
                    block: number!(bytes, 8, u32),
                    offset: number!(bytes, 18, u16),
                }
            }
            2 => {
                let bytes: [u8; 16] = cursor.array(image, part)?;
                Kind::File {
                    start: number!(bytes, 0, u32).into(),
                    fragment: number!(bytes, 4, u32),
                    offset: number!(bytes, 8, u32),
                    size: number!(bytes, 12, u32).into(),
                    links: 1,
                    sizes: cursor,
                }
            }
            9 => {
                let bytes: [u8; 40] = cursor.array(image, part)?;
                xattr = number!(bytes, 36, u32);
                Kind::File {
                    start: number!(bytes, 0, u64),
                    size: number!(bytes, 8, u64),
                    links: number!(bytes, 24, u32),
                    fragment: number!(bytes, 28, u32),
                    offset: number!(bytes, 32, u32),
                    sizes: cursor,
                }
            }
            kind @ (3 | 10) => {
                let bytes: [u8; 8] = cursor.array(image, part)?;
                let size = number!(bytes, 4, u32) as usize;
                if size > MAX_PATH {
                    return Err(layout(
                        "a symbolic link",
                        format!("a target of at most {MAX_PATH} bytes"),
                        format!("{size}"),
                    ));
                }
                let target = cursor.bytes(image, size, part)?;
                if kind == 10 {
                    let bytes: [u8; 4] = cursor.array(image, part)?;
                    xattr = number!(bytes, 0, u32);
                }
                Kind::Symlink { target }
            }
            kind @ (4 | 5 | 11 | 12) => {
                let bytes: [u8; 8] = cursor.array(image, part)?;
                if kind > 10 {
                    let bytes: [u8; 4] = cursor.array(image, part)?;
                    xattr = number!(bytes, 0, u32);
                }
                // As the kernel's new_decode_dev() takes a device's number apart.
                let device = number!(bytes, 4, u32);
                let major = (device & 0xf_ff00) >> 8;
                let minor = (device & 0xff) | ((device >> 12) & 0xf_ff00);
                match kind {
                    4 | 11 => Kind::Block { major, minor },
                    _ => Kind::Char { major, minor },
                }
            }
            kind @ (6 | 13) => {
                if kind == 13 {
                    let bytes: [u8; 8] = cursor.array(image, part)?;
                    xattr = number!(bytes, 4, u32);
                }
                Kind::Fifo
            }
            kind @ (7 | 14) => {
                return Err(layout(part, "no socket", format!("type {kind}")));
            }
            other => return Err(layout(part, "a type from 1 to 14", format!("{other}"))),
        };
        Ok(Self {
            mode: u32::from(number!(head, 2, u16)) & 0o7777,
            uid: number!(head, 4, u16),
            gid: number!(head, 6, u16),
            xattr,
            kind,
        })
    }
}
