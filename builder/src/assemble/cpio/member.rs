//! A member of a newc archive as it was read.

use lunikernel_cache::Digest;

/// A member's header, field by field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its path below the root, without a leading `./`; empty for the root itself.
    pub path: String,
    /// Which archive it is in, where several follow each other; the first is 0.
    pub segment: u32,
    /// Where its header begins, in bytes from the beginning of all archives, not
    /// compressed.
    pub offset: u64,
    /// Where its content begins.
    pub content_offset: u64,
    /// Inode number; the same for all names of a file.
    pub inode: u32,
    /// File type and permission bits (inode(7)).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// How many names the file has.
    pub links: u32,
    /// Time stamp in seconds since 1970.
    pub mtime: u32,
    /// Size of the content in bytes; for a symbolic link, of its target.
    pub size: u32,
    /// The device that the file was on, major and minor.
    pub device: (u32, u32),
    /// For a device, its number.
    pub own_device: (u32, u32),
}

impl Header {
    /// The fields in the order of the format, but for the size of the name and the
    /// checksum.
    pub(crate) fn fields(&self) -> [u32; 11] {
        [
            self.inode,
            self.mode,
            self.uid,
            self.gid,
            self.links,
            self.mtime,
            self.size,
            self.device.0,
            self.device.1,
            self.own_device.0,
            self.own_device.1,
        ]
    }
}

/// A member with what its content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its header.
    pub header: Header,
    /// Digest of its content.
    pub content: Digest,
    /// Where it points, if it is a symbolic link.
    pub target: Option<String>,
}
