//! Gathering the members of an archive into a root, within bounds.

use std::io::Read;

use lunikernel_cache::{Digest, Node, Rootfs};

use super::error::{MemberError, refused, shown};
use super::names::{Excess, Names};
use super::{Keep, KeepError, Limits};

/// A root that grows member by member.
pub(crate) struct Collector<'k, 'f> {
    root: Rootfs,
    keep: &'k mut Keep<'f>,
    limits: Limits,
    members: u64,
    total: u64,
    names: Names,
}

impl<'k, 'f> Collector<'k, 'f> {
    pub(crate) fn new(limits: Limits, keep: &'k mut Keep<'f>) -> Self {
        Self {
            root: Rootfs::new(),
            keep,
            limits,
            members: 0,
            total: 0,
            names: Names::default(),
        }
    }

    /// How many members there were.
    pub(crate) fn members(&self) -> u64 {
        self.members
    }

    /// How many bytes of content may still come.
    pub(crate) fn left(&self) -> u64 {
        self.limits.total.saturating_sub(self.total)
    }

    /// Whether device nodes and named pipes may be among the members.
    pub(crate) fn takes_devices(&self) -> bool {
        self.limits.devices
    }

    /// Takes note of a member before anything of it is read.
    pub(crate) fn announce(&mut self, member: impl AsRef<[u8]>) -> Result<(), MemberError> {
        self.members += 1;
        if self.members > self.limits.members {
            let limit = self.limits.members;
            return Err(bomb(member, limit, "members"));
        }
        Ok(())
    }

    /// Takes note of how much a member has before any of it is read.
    pub(crate) fn charge(
        &mut self,
        member: impl AsRef<[u8]>,
        size: u64,
    ) -> Result<(), MemberError> {
        self.total = self.total.saturating_add(size);
        if self.total > self.limits.total {
            return Err(bomb(member, self.limits.total, "bytes"));
        }
        Ok(())
    }

    /// Charges and keeps the content of a member, which has to be `size` bytes.
    pub(crate) fn content(
        &mut self,
        member: &str,
        content: &mut dyn Read,
        size: u64,
    ) -> Result<Digest, MemberError> {
        self.charge(member, size)?;
        let digest = self.keep(member, content, size)?;
        if digest.size != size {
            return Err(refused(
                member,
                format!("expected {size} bytes of content, got {}", digest.size),
            ));
        }
        Ok(digest)
    }

    /// Keeps what there is of content that was charged, which may be less than `size`.
    pub(crate) fn keep(
        &mut self,
        member: impl AsRef<[u8]>,
        content: &mut dyn Read,
        size: u64,
    ) -> Result<Digest, MemberError> {
        (self.keep)(content, size).map_err(|error| match error {
            KeepError::Cache(error) => error.into(),
            KeepError::Read(source) => MemberError::Content {
                member: shown(member),
                source,
            },
        })
    }

    /// Whether a later member may take the place of an earlier one.
    pub(crate) fn takes_twice(&self) -> bool {
        self.limits.twice
    }

    /// Takes note of the names that `node` at `path` will add to the root.
    pub(crate) fn count_names(
        &mut self,
        member: impl AsRef<[u8]>,
        path: &str,
        node: &Node,
    ) -> Result<(), MemberError> {
        let added = self.names.add(&self.root, path, node);
        added.map_err(|Excess { limit, unit }| bomb(member, limit, unit))
    }

    /// Puts the member at `path` in its place, in errors called `member`; the root itself
    /// has none.
    pub(crate) fn insert_as(
        &mut self,
        member: impl AsRef<[u8]>,
        path: &str,
        node: Node,
    ) -> Result<(), MemberError> {
        if path.is_empty() {
            return Ok(());
        }
        self.count_names(&member, path, &node)?;
        self.replace(member, path, node)
    }

    /// Puts a member in its place.
    pub(crate) fn insert(&mut self, path: &str, node: Node) -> Result<(), MemberError> {
        self.insert_as(path, path, node)
    }

    /// Puts a member in a place where nothing may be yet: programs would not agree on
    /// which of two they see.
    pub(crate) fn add(&mut self, path: &str, node: Node) -> Result<(), MemberError> {
        if self.root.get(path).is_some() {
            return Err(refused(path, "there is another member of that name"));
        }
        self.insert(path, node)
    }

    /// Puts `node` where something of the same names is already.
    pub(crate) fn replace(
        &mut self,
        member: impl AsRef<[u8]>,
        path: &str,
        node: Node,
    ) -> Result<(), MemberError> {
        let put = self.root.insert(path, node);
        put.map_err(|source| MemberError::Place {
            member: shown(member),
            source,
        })
    }

    /// What was gathered so far.
    pub(crate) fn root(&self) -> &Rootfs {
        &self.root
    }

    pub(crate) fn finish(self) -> Rootfs {
        self.root
    }
}

fn bomb(member: impl AsRef<[u8]>, limit: u64, unit: &'static str) -> MemberError {
    MemberError::Bomb {
        member: shown(member),
        limit,
        unit,
    }
}
