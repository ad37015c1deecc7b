//! Writing a root file system as a newc archive.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use lunikernel_cache::{BlobStore, CacheError, Digest, Node, NodeKind, Rootfs};

use super::{HEADER_SIZE, MAGIC, PATH_MAX, TRAILER, file_type, padding};

/// GNU cpio and the kernel's own tool fill archives up to whole blocks of this size;
/// readers that read by block then never meet a short one.
const BLOCK: u64 = 512;
/// The largest device numbers that Linux has (12 and 20 bits).
const MAX_MAJOR: u32 = (1 << 12) - 1;
const MAX_MINOR: u32 = (1 << 20) - 1;

/// A root file system cannot be written as a newc archive.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The path is longer than Linux takes.
    #[error("`{path}` is too long for an initramfs: expected at most {max} bytes, got {length}")]
    TooLong {
        /// Its beginning.
        path: String,
        /// Its length in bytes.
        length: usize,
        /// The longest possible.
        max: usize,
    },
    /// The path is what ends an archive; the kernel would ignore all that follows.
    #[error("a file at the root of an initramfs cannot be called `{TRAILER}`")]
    Trailer,
    /// The file is too large for the format.
    #[error("`{path}` is too large for an initramfs: expected less than 4 GiB, got {size} bytes")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size in bytes.
        size: u64,
    },
    /// The format has no place for extended attributes.
    #[error("`{path}` has the extended attribute {name}, which an initramfs cannot hold")]
    Xattr {
        /// The node.
        path: String,
        /// The attribute.
        name: String,
    },
    /// The device number is beyond what Linux has.
    #[error(
        "the device `{path}` has the number {major}:{minor}, expected at most {MAX_MAJOR}:{MAX_MINOR}"
    )]
    Device {
        /// The device.
        path: String,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// The folder of a node is missing; the kernel would skip the node.
    #[error("`{path}` has no folder above it")]
    NoFolder {
        /// The node.
        path: String,
    },
    /// There are more nodes than inode numbers.
    #[error("there are more than 4294967294 files")]
    TooMany,
    /// The content of a file is not as long as its digest says.
    #[error("the content of `{path}` has {actual} bytes, expected {expected}")]
    Size {
        /// The file.
        path: String,
        /// The size in its digest.
        expected: u64,
        /// How many bytes came.
        actual: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The archive could not be written.
    #[error("could not write the archive at `{path}`")]
    Io {
        /// The node that was being written.
        path: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

impl WriteError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Xattr { path, .. } => Some(format!(
                "start the program as root and let it drop its rights, set the attribute at boot, or leave the file out: `remove: [/{path}]`"
            )),
            Self::TooLarge { path, .. } => Some(format!(
                "leave it out (`remove: [/{path}]`) and bring it on a disk"
            )),
            Self::Size { .. } => {
                Some("find and remove what is damaged with `luni cache verify`".to_owned())
            }
            Self::Cache(error) => error.hint(),
            _ => None,
        }
    }
}

/// Nodes of one inode: all that hard links share.
type Inode<'a> = (&'a str, Digest, u32, u32, u32);

/// Writes `root` as a newc archive.
///
/// The bytes depend on `root` and `mtime` (seconds since 1970) only: members are
/// sorted bytewise by path, which puts folders before what is in them; inodes are
/// numbered from 1 in that order; every time stamp is `mtime`. The root folder itself
/// is not a member: the kernel has one already, owned by root, mode 0755. Of files
/// with several names (hard links) the last one carries the content, as GNU cpio and
/// the kernel's own tool do. Content is streamed.
///
/// # Errors
/// [`WriteError`] where the format cannot hold a node, or writing fails.
pub fn write(
    root: &Rootfs,
    blobs: &BlobStore,
    mtime: u32,
    output: &mut dyn Write,
) -> Result<(), WriteError> {
    write_some(root, blobs, mtime, output, |_| true)
}

/// As [`write()`], leaving out every folder that `is_there` before the archive is
/// unpacked: a member would give it another mode and owner.
///
/// # Errors
/// As [`write()`].
pub(crate) fn write_behind(
    root: &Rootfs,
    blobs: &BlobStore,
    mtime: u32,
    output: &mut dyn Write,
    is_there: impl Fn(&str) -> bool,
) -> Result<(), WriteError> {
    let is_folder = |path: &str| {
        let node = root.get(path);
        node.is_some_and(|node| matches!(node.kind, NodeKind::Folder))
    };
    write_some(root, blobs, mtime, output, |path| {
        !is_folder(path) || !is_there(path)
    })
}

fn write_some(
    root: &Rootfs,
    blobs: &BlobStore,
    mtime: u32,
    output: &mut dyn Write,
    is_member: impl Fn(&str) -> bool,
) -> Result<(), WriteError> {
    let links = count_links(root);
    let mut inodes: BTreeMap<Inode<'_>, (u32, u32)> = BTreeMap::new();
    let mut output = Output::new(output, mtime);
    let mut next_inode = 1u32;
    for (path, node) in root.nodes() {
        check(root, path, node)?;
        if !is_member(path) {
            continue;
        }
        let names = inode_of(node).and_then(|inode| Some((inode, *links.get(&inode)?)));
        let (number, links, is_last) = match names {
            Some((inode, total)) if total > 1 => {
                let (number, seen) = inodes.entry(inode).or_insert((next_inode, 0));
                *seen += 1;
                (*number, total, *seen == total)
            }
            _ if matches!(node.kind, NodeKind::Folder) => (next_inode, 2, true),
            _ => (next_inode, 1, true),
        };
        if number == next_inode {
            next_inode = next_inode.checked_add(1).ok_or(WriteError::TooMany)?;
        }
        output.member(path, node, number, links, is_last.then_some(blobs))?;
    }
    output.trailer()
}

/// How many names each inode has that may have several.
fn count_links(root: &Rootfs) -> BTreeMap<Inode<'_>, u32> {
    let mut links = BTreeMap::new();
    for inode in root.nodes().filter_map(|(_, node)| inode_of(node)) {
        *links.entry(inode).or_insert(0) += 1;
    }
    links
}

/// What hard links have in common. Names of one link group that differ in mode or
/// owner were changed after unpacking, and are files of their own now.
fn inode_of(node: &Node) -> Option<Inode<'_>> {
    match &node.kind {
        NodeKind::File {
            content,
            link: Some(link),
        } => Some((link, *content, node.mode, node.uid, node.gid)),
        _ => None,
    }
}

fn check(root: &Rootfs, path: &str, node: &Node) -> Result<(), WriteError> {
    let too_long = |length: usize| {
        (length >= PATH_MAX).then(|| WriteError::TooLong {
            path: path.chars().take(200).collect(),
            length,
            max: PATH_MAX - 1,
        })
    };
    if let Some(error) = too_long(path.len()) {
        return Err(error);
    }
    if path == TRAILER {
        return Err(WriteError::Trailer);
    }
    if let Some(name) = node.xattrs.keys().next() {
        return Err(WriteError::Xattr {
            path: path.to_owned(),
            name: name.clone(),
        });
    }
    if let Some((folder, _)) = path.rsplit_once('/')
        && !root
            .get(folder)
            .is_some_and(|node| matches!(node.kind, NodeKind::Folder))
    {
        return Err(WriteError::NoFolder {
            path: path.to_owned(),
        });
    }
    match &node.kind {
        NodeKind::File { content, .. } if content.size > u64::from(u32::MAX) => {
            Err(WriteError::TooLarge {
                path: path.to_owned(),
                size: content.size,
            })
        }
        NodeKind::Symlink { target } => too_long(target.len()).map_or(Ok(()), Err),
        NodeKind::CharDevice { major, minor } | NodeKind::BlockDevice { major, minor }
            if *major > MAX_MAJOR || *minor > MAX_MINOR =>
        {
            Err(WriteError::Device {
                path: path.to_owned(),
                major: *major,
                minor: *minor,
            })
        }
        _ => Ok(()),
    }
}

/// Writes members one after the other.
pub(crate) struct Output<'a> {
    inner: &'a mut dyn Write,
    written: u64,
    mtime: u32,
}

impl<'a> Output<'a> {
    /// Writes to `inner`; whatever has no time stamp of its own has `mtime`.
    pub(crate) fn new(inner: &'a mut dyn Write, mtime: u32) -> Self {
        Self {
            inner,
            written: 0,
            mtime,
        }
    }

    /// Writes a member; a file has its content where `blobs` is given.
    fn member(
        &mut self,
        path: &str,
        node: &Node,
        inode: u32,
        links: u32,
        blobs: Option<&BlobStore>,
    ) -> Result<(), WriteError> {
        let (kind, device, size) = match &node.kind {
            NodeKind::Folder => (file_type::FOLDER, (0, 0), 0),
            NodeKind::File { content, .. } => {
                let size = if blobs.is_some() { content.size } else { 0 };
                (file_type::FILE, (0, 0), size)
            }
            NodeKind::Symlink { target } => (file_type::SYMLINK, (0, 0), target.len() as u64),
            NodeKind::CharDevice { major, minor } => (file_type::CHAR, (*major, *minor), 0),
            NodeKind::BlockDevice { major, minor } => (file_type::BLOCK, (*major, *minor), 0),
            NodeKind::Fifo => (file_type::FIFO, (0, 0), 0),
        };
        let size = u32::try_from(size).map_err(|_| WriteError::TooLarge {
            path: path.to_owned(),
            size,
        })?;
        let mode = kind | (node.mode & 0o7777);
        let owner = (node.uid, node.gid);
        self.header(
            path,
            [
                inode, mode, owner.0, owner.1, links, self.mtime, size, 0, 0, device.0, device.1,
            ],
        )?;
        match (&node.kind, blobs) {
            (NodeKind::File { content, .. }, Some(blobs)) if content.size > 0 => {
                self.content(path, blobs, content)
            }
            (NodeKind::Symlink { target }, _) => {
                self.put(path, target.as_bytes())?;
                self.pad(path, 4)
            }
            _ => Ok(()),
        }
    }

    fn content(
        &mut self,
        path: &str,
        blobs: &BlobStore,
        content: &Digest,
    ) -> Result<(), WriteError> {
        let mut file = blobs.open(content)?;
        let mut buffer = vec![0; 256 << 10];
        let mut left = content.size;
        while left > 0 {
            let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            match file.read(&mut buffer[..most]) {
                Ok(0) => {
                    return Err(WriteError::Size {
                        path: path.to_owned(),
                        expected: content.size,
                        actual: content.size - left,
                    });
                }
                Ok(count) => {
                    self.put(path, &buffer[..count])?;
                    left -= count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(CacheError::io("read a blob of the cache")(error).into()),
            }
        }
        self.pad(path, 4)
    }

    /// Ends an archive.
    pub(crate) fn trailer(&mut self) -> Result<(), WriteError> {
        self.header(TRAILER, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
        self.pad(TRAILER, BLOCK)
    }

    /// Writes a header of these fields in the format's order, but for the size of the
    /// name and the checksum, which is always 0, and the name.
    pub(crate) fn header(&mut self, path: &str, fields: [u32; 11]) -> Result<(), WriteError> {
        let mut bytes = Vec::with_capacity(HEADER_SIZE + path.len() + 4);
        bytes.extend_from_slice(MAGIC);
        // `check` made sure that it fits; the trailer's does.
        let name_size = u32::try_from(path.len() + 1).unwrap_or(u32::MAX);
        for field in fields.into_iter().chain([name_size, 0]) {
            bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        bytes.extend_from_slice(path.as_bytes());
        bytes.push(0);
        self.put(path, &bytes)?;
        self.pad(path, 4)
    }

    /// Writes a part of a member; errors say `path`.
    pub(crate) fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), WriteError> {
        self.inner
            .write_all(bytes)
            .map_err(|source| WriteError::Io {
                path: path.to_owned(),
                source,
            })?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Fills up with zeros to a multiple of `to`.
    pub(crate) fn pad(&mut self, path: &str, to: u64) -> Result<(), WriteError> {
        let zeros = [0; BLOCK as usize];
        let count = padding(self.written, to) as usize;
        self.put(path, zeros.get(..count).unwrap_or_default())
    }
}
