//! Gathering the members of an archive into a root, within bounds.

use std::io::Read;

use lunikernel_cache::{Digest, Node, Rootfs};

use super::UnpackError;
use crate::assemble::tarball::names::{Excess, Names};
use crate::assemble::tarball::{Keep, KeepError, Limits};

/// A root that grows member by member.
pub(super) struct Collector<'k, 'f> {
    root: Rootfs,
    keep: &'k mut Keep<'f>,
    limits: Limits,
    members: u64,
    total: u64,
    names: Names,
}

impl<'k, 'f> Collector<'k, 'f> {
    pub(super) fn new(limits: Limits, keep: &'k mut Keep<'f>) -> Self {
        Self {
            root: Rootfs::new(),
            keep,
            limits,
            members: 0,
            total: 0,
            names: Names::default(),
        }
    }

    /// How many bytes of content may still come.
    pub(super) fn left(&self) -> u64 {
        self.limits.total.saturating_sub(self.total)
    }

    /// Takes note of a member before anything of it is read.
    pub(super) fn announce(&mut self, member: &str) -> Result<(), UnpackError> {
        self.members += 1;
        if self.members > self.limits.members {
            return Err(UnpackError::Bomb {
                member: shown(member.as_bytes()),
                limit: self.limits.members,
                unit: "members",
            });
        }
        Ok(())
    }

    /// Keeps the content of a member, which has to be `size` bytes.
    pub(super) fn content(
        &mut self,
        member: &str,
        content: &mut dyn Read,
        size: u64,
    ) -> Result<Digest, UnpackError> {
        self.total = self.total.saturating_add(size);
        if self.total > self.limits.total {
            return Err(UnpackError::Bomb {
                member: shown(member.as_bytes()),
                limit: self.limits.total,
                unit: "bytes",
            });
        }
        let digest = (self.keep)(content, size).map_err(|error| match error {
            KeepError::Cache(error) => error.into(),
            KeepError::Read(source) => UnpackError::Content {
                member: shown(member.as_bytes()),
                source,
            },
        })?;
        if digest.size != size {
            return Err(refused(
                member,
                format!("expected {size} bytes of content, got {}", digest.size),
            ));
        }
        Ok(digest)
    }

    /// Puts a member in its place; the root itself has none.
    pub(super) fn insert(&mut self, path: &str, node: Node) -> Result<(), UnpackError> {
        if path.is_empty() {
            return Ok(());
        }
        if let Err(Excess { limit, unit }) = self.names.add(&self.root, path, &node) {
            return Err(UnpackError::Bomb {
                member: shown(path.as_bytes()),
                limit,
                unit,
            });
        }
        self.root
            .insert(path, node)
            .map_err(|source| UnpackError::Place {
                member: shown(path.as_bytes()),
                source,
            })
    }

    /// Puts a member in a place where nothing may be yet: programs would not agree on
    /// which of two they see.
    pub(super) fn add(&mut self, path: &str, node: Node) -> Result<(), UnpackError> {
        if self.root.get(path).is_some() {
            return Err(refused(path, "there is another member of that name"));
        }
        self.insert(path, node)
    }

    pub(super) fn root(&mut self) -> &mut Rootfs {
        &mut self.root
    }

    pub(super) fn finish(self) -> Rootfs {
        self.root
    }
}

pub(super) fn refused(member: &str, why: impl Into<String>) -> UnpackError {
    UnpackError::Refused {
        member: shown(member.as_bytes()),
        why: why.into(),
    }
}

/// A name as it can be shown, whatever is in it.
pub(super) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name)
        .chars()
        .take(200)
        .collect::<String>()
        .escape_debug()
        .to_string()
}
