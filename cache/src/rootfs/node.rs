//! One file, folder, link or device of a root file system.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// One file, folder, link or device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Permission bits, set-uid, set-gid and sticky included: at most 0o7777.
    pub mode: u32,
    /// Owner.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uid: u32,
    /// Group.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gid: u32,
    /// Extended attributes, `security.capability` for example.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// What it is.
    pub kind: NodeKind,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NodeKind {
    /// A folder.
    Folder,
    /// A regular file.
    File {
        /// Its content.
        content: Digest,
        /// Nodes with the same link group and content are one file under several
        /// names (hard links).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<String>,
    },
    /// A symbolic link; its own mode is always 0777.
    Symlink {
        /// Where it points, as written in it.
        target: String,
    },
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

impl Node {
    /// A folder of root's.
    #[must_use]
    pub fn folder(mode: u32) -> Self {
        Self::of(mode, NodeKind::Folder)
    }

    /// A regular file of root's.
    #[must_use]
    pub fn file(mode: u32, content: Digest) -> Self {
        Self::of(
            mode,
            NodeKind::File {
                content,
                link: None,
            },
        )
    }

    /// A symbolic link of root's.
    #[must_use]
    pub fn symlink(target: impl Into<String>) -> Self {
        Self::of(
            0o777,
            NodeKind::Symlink {
                target: target.into(),
            },
        )
    }

    /// A node of root's without extended attributes.
    #[must_use]
    pub fn of(mode: u32, kind: NodeKind) -> Self {
        Self {
            mode,
            uid: 0,
            gid: 0,
            xattrs: BTreeMap::new(),
            kind,
        }
    }
}

impl NodeKind {
    /// The field's word for it, with an article.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Folder => "a folder",
            Self::File { .. } => "a file",
            Self::Symlink { .. } => "a symbolic link",
            Self::CharDevice { .. } => "a character device",
            Self::BlockDevice { .. } => "a block device",
            Self::Fifo => "a named pipe",
        }
    }
}
