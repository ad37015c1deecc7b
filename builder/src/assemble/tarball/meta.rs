//! What a member of an archive has beside its content.

use std::collections::BTreeMap;
use std::io;

use lunikernel_cache::{Node, NodeKind};
use serde::{Deserialize, Serialize};

/// Mode, owner and attributes of a member.
pub(super) struct Meta {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
}

/// What the owners of a member are called; empty where that is not said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnerNames {
    /// The user.
    pub user: String,
    /// The group.
    pub group: String,
}

/// The longest name of an owner, in bytes: that of a header's field. Nobody has a longer one.
const MAX_OWNER: usize = 32;

impl OwnerNames {
    /// The names in pax records, or else in the header.
    pub(super) fn read(header: &tar::Header, records: &mut BTreeMap<String, Vec<u8>>) -> Self {
        let mut name = |key: &str, own: Option<&[u8]>| {
            let bytes = records.remove(key).or_else(|| own.map(<[u8]>::to_vec));
            let name = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            name.filter(|name| name.len() <= MAX_OWNER)
                .unwrap_or_default()
        };
        Self {
            user: name("uname", header.username_bytes()),
            group: name("gname", header.groupname_bytes()),
        }
    }

    /// Whether they say no more than the numbers do: that it is root, or nothing.
    pub(super) fn is_root(&self, uid: u32, gid: u32) -> bool {
        let says_nothing =
            |name: &str, number: u32| name.is_empty() || (name == "root" && number == 0);
        says_nothing(&self.user, uid) && says_nothing(&self.group, gid)
    }
}

impl Meta {
    pub(super) fn read(
        header: &tar::Header,
        records: &mut BTreeMap<String, Vec<u8>>,
        size: u64,
    ) -> Result<Self, String> {
        let mut decimal = |key: &str| -> Result<Option<u64>, String> {
            let Some(value) = records.remove(key) else {
                return Ok(None);
            };
            str::from_utf8(&value)
                .ok()
                .and_then(|text| text.parse().ok())
                .map(Some)
                .ok_or_else(|| format!("its pax record `{key}` is no number"))
        };
        // Readers that disagree on a size disagree on where the next member is.
        if decimal("size")?.is_some_and(|announced| announced != size) {
            return Err("its two headers announce different sizes".to_owned());
        }
        let owner = |name: &str, pax: Option<u64>, field: [u8; 8], own: io::Result<u64>| {
            let number = match pax {
                Some(number) => number,
                // Blank, as cargo leaves it in what it adds to a crate, tar reads it as 0.
                None if field.iter().all(|byte| matches!(byte, 0 | b' ')) => 0,
                None => own.map_err(|error| format!("its {name} cannot be read: {error}"))?,
            };
            u32::try_from(number).map_err(|_| format!("its {name} {number} is beyond 32 bits"))
        };
        let uid = owner("uid", decimal("uid")?, header.as_old().uid, header.uid())?;
        let gid = owner("gid", decimal("gid")?, header.as_old().gid, header.gid())?;
        let mode = header
            .mode()
            .map_err(|error| format!("its mode cannot be read: {error}"))?;
        if let Some(key) = records.keys().find(|key| key.starts_with("GNU.sparse.")) {
            return Err(format!(
                "it is a sparse file (`{key}`), which is not supported"
            ));
        }
        let xattrs = std::mem::take(records)
            .into_iter()
            .filter_map(|(key, value)| Some((key.strip_prefix("SCHILY.xattr.")?.to_owned(), value)))
            .collect();
        Ok(Self {
            mode: mode & 0o7777,
            uid,
            gid,
            xattrs,
        })
    }

    pub(super) fn node(self, kind: NodeKind) -> Node {
        Node {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            xattrs: self.xattrs,
            kind,
        }
    }
}
