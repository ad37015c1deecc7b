//! Reading tar archives of any origin into a [`Rootfs`], content into the store.
//!
//! The members are read raw, and what tar keeps in extra headers (GNU's long names,
//! pax records, POSIX.1-2008 pax) is put together here, because this is where bounds
//! can be put on it. Nothing is ever created on the host.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use lunikernel_cache::{BlobStore, CacheError, Digest, Node, NodeKind, Rootfs, RootfsError};
use tar::{Entry, EntryType};

mod extra;
mod meta;
pub(crate) mod names;

use extra::Extra;
use meta::Meta;
pub use meta::OwnerNames;
use names::{Excess, Names};

/// Bounds on what one archive may unpack to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All content together, in bytes.
    pub total: u64,
    /// How many members.
    pub members: u64,
    /// Whether device nodes and named pipes may be among them.
    pub devices: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total: 8 << 30,
            members: 500_000,
            devices: false,
        }
    }
}

pub use lunikernel_cache::checkout::MAX_PATH;
/// The longest name of one file that Linux takes (NAME_MAX), in bytes.
pub const MAX_NAME: usize = 255;
/// Up to this size content is read into memory, so that what the store already has
/// costs no file.
const IN_MEMORY: u64 = 256 << 10;

/// How many bytes of padding may be behind the end, whatever else the limits are: tar
/// fills the last block of a tape.
const FREE_PADDING: u64 = 1 << 20;

/// A tar archive is broken, or holds what does not belong into one.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// It could not be read: broken, truncated, or not compressed as it should be.
    #[error("could not read the archive after {members} members")]
    Archive {
        /// How many members were read before.
        members: u64,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The content of a member could not be read.
    #[error("could not read the content of `{member}`")]
    Content {
        /// The member.
        member: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// A member is refused.
    #[error("`{member}` is refused: {why}")]
    Refused {
        /// The member, as it is named in the archive.
        member: String,
        /// Why.
        why: String,
    },
    /// A member contradicts one before it.
    #[error("`{member}` is refused")]
    Place {
        /// The member.
        member: String,
        /// What it contradicts.
        #[source]
        source: RootfsError,
    },
    /// It unpacks to more than it may.
    #[error("it unpacks to more than {limit} {unit} at `{member}`")]
    Bomb {
        /// The member that is too much.
        member: String,
        /// How much is allowed.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl TarError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cache(error) => error.hint(),
            Self::Archive { .. } | Self::Content { .. } => Some(
                "the archive is damaged or was packed by an unusual tool; compare its sha256 with the one its author publishes".to_owned(),
            ),
            Self::Bomb { .. } => None,
            Self::Refused { .. } | Self::Place { .. } => Some(
                "no honest tool packs such a member; find out where the archive comes from before using it".to_owned(),
            ),
        }
    }
}

/// Why content could not be kept.
pub(crate) enum KeepError {
    Read(io::Error),
    Cache(CacheError),
}

/// Takes the content of one file, of the size given.
pub(crate) type Keep<'a> = dyn FnMut(&mut dyn Read, u64) -> Result<Digest, KeepError> + 'a;

/// Reads a tar archive, not compressed, storing the content of its files.
///
/// Names are taken without a leading `./`. Time stamps and the names of owners are
/// dropped; the numbers of owners count ([`read_named`] has the names). Symbolic links are data and are never
/// followed: a member below one is refused.
///
/// # Errors
/// [`TarError`], which names the member.
pub fn unpack(reader: impl Read, limits: Limits, blobs: &BlobStore) -> Result<Rootfs, TarError> {
    read(reader, limits, &mut |content, size| {
        store(blobs, content, size)
    })
}

/// Stores `size` bytes, hashed once, while they pass by.
pub(crate) fn store(
    blobs: &BlobStore,
    content: &mut dyn Read,
    size: u64,
) -> Result<Digest, KeepError> {
    let cache = |source| KeepError::Cache(CacheError::io("write a blob to the cache")(source));
    if size <= IN_MEMORY {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(KeepError::Read)?;
        return blobs.put(&bytes).map_err(KeepError::Cache);
    }
    let mut writer = blobs.writer().map_err(KeepError::Cache)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return writer.commit().map_err(KeepError::Cache),
            Ok(count) => {
                io::Write::write_all(&mut writer, &buffer[..count]).map_err(cache)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(KeepError::Read(error)),
        }
    }
}

/// What is in one layer of a container image, before it is laid over those below it.
pub(crate) struct LayerMembers {
    /// Its members, and the folders that they imply.
    pub(crate) root: Rootfs,
    /// The paths of the members themselves.
    pub(crate) members: BTreeSet<String>,
    /// Members that are hard links to what only a layer below has: path and target.
    pub(crate) links: BTreeMap<String, String>,
}

/// Reads a tar archive, giving the content of its files to `keep`.
pub(crate) fn read(
    reader: impl Read,
    limits: Limits,
    keep: &mut Keep<'_>,
) -> Result<Rootfs, TarError> {
    Ok(read_members(reader, limits, None, keep)?.root)
}

/// As [`read`], and the names of owners by the path of their members, where they say more
/// than that it is root.
pub(crate) fn read_named(
    reader: impl Read,
    limits: Limits,
    keep: &mut Keep<'_>,
) -> Result<(Rootfs, BTreeMap<String, OwnerNames>), TarError> {
    let unpacking = read_members(reader, limits, None, keep)?;
    Ok((unpacking.root, unpacking.owners))
}

/// As [`read`], for a layer of a container image. Paths may begin with a slash, and hard
/// links may lead to another layer.
pub(crate) fn read_layer(
    reader: impl Read,
    limits: Limits,
    keep: &mut Keep<'_>,
) -> Result<LayerMembers, TarError> {
    let unpacking = read_members(reader, limits, Some(BTreeMap::new()), keep)?;
    Ok(LayerMembers {
        root: unpacking.root,
        members: unpacking.seen,
        links: unpacking.links.unwrap_or_default(),
    })
}

fn read_members(
    mut reader: impl Read,
    limits: Limits,
    links: Option<BTreeMap<String, String>>,
    keep: &mut Keep<'_>,
) -> Result<Unpacking, TarError> {
    let mut unpacking = Unpacking {
        root: Rootfs::new(),
        seen: BTreeSet::new(),
        links,
        owners: BTreeMap::new(),
        limits,
        members: 0,
        total: 0,
        names: Names::default(),
    };
    let mut archive = tar::Archive::new(&mut reader);
    let archive_error = |members| move |source| TarError::Archive { members, source };
    let entries = archive.entries().map_err(archive_error(0))?.raw(true);
    let mut extra = Extra::default();
    for entry in entries {
        let mut entry = entry.map_err(archive_error(unpacking.members))?;
        unpacking.count(&entry)?;
        if !extra.take(&mut entry)? {
            let extra = std::mem::take(&mut extra);
            unpacking.add(&mut entry, extra, keep)?;
        }
    }
    if !extra.is_empty() {
        return Err(refused(
            "(the last one)",
            "it is an extra header without the member that it is about",
        ));
    }
    let most = limits.total.saturating_sub(unpacking.total);
    let most = most.saturating_add(FREE_PADDING);
    let within = require_zeros(&mut reader, most).map_err(archive_error(unpacking.members))?;
    if !within {
        return Err(TarError::Bomb {
            member: "the zeros behind its end".to_owned(),
            limit: most,
            unit: "bytes",
        });
    }
    Ok(unpacking)
}

/// Reads to the end, where only padding may be: this also makes the decompressor
/// compare its checksum. False where there are more than `most` bytes.
fn require_zeros(reader: &mut dyn Read, most: u64) -> io::Result<bool> {
    let mut reader = reader.take(most.saturating_add(1));
    let mut buffer = vec![0; 64 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(reader.limit() > 0),
            Ok(count) if buffer[..count].iter().all(|byte| *byte == 0) => {}
            Ok(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "there is something behind its end",
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn refused(member: &str, why: impl Into<String>) -> TarError {
    TarError::Refused {
        member: member.to_owned(),
        why: why.into(),
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .take(200)
        .collect::<String>()
        .escape_debug()
        .to_string()
}

struct Unpacking {
    root: Rootfs,
    /// Paths that were members themselves, unlike folders that were only needed.
    seen: BTreeSet<String>,
    /// Of a layer, the hard links to what is in none before them: path and target.
    links: Option<BTreeMap<String, String>>,
    owners: BTreeMap<String, OwnerNames>,
    limits: Limits,
    members: u64,
    total: u64,
    names: Names,
}

impl Unpacking {
    fn count<R: Read>(&mut self, entry: &Entry<'_, R>) -> Result<(), TarError> {
        let bomb = |limit, unit| TarError::Bomb {
            member: lossy(&entry.path_bytes()),
            limit,
            unit,
        };
        self.members += 1;
        if self.members > self.limits.members {
            return Err(bomb(self.limits.members, "members"));
        }
        self.total = self.total.saturating_add(entry.size());
        if self.total > self.limits.total {
            return Err(bomb(self.limits.total, "bytes"));
        }
        Ok(())
    }

    fn add<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        mut extra: Extra,
        keep: &mut Keep<'_>,
    ) -> Result<(), TarError> {
        let header = entry.header().clone();
        let kind = header.entry_type();
        let raw_name = extra
            .records
            .remove("path")
            .or(extra.name)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let shown = lossy(&raw_name);
        let target = extra
            .records
            .remove("linkpath")
            .or(extra.target)
            .or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
        let path = self
            .clean(&raw_name, kind == EntryType::Directory)
            .map_err(|why| refused(&shown, why))?;
        let names = OwnerNames::read(&header, &mut extra.records);
        let meta = Meta::read(&header, &mut extra.records, entry.size())
            .map_err(|why| refused(&shown, why))?;

        let holds_data = matches!(kind, EntryType::Regular | EntryType::Continuous);
        if !holds_data && entry.size() != 0 {
            return Err(refused(&shown, "it has content, and it is no file"));
        }
        if path.is_empty() {
            // The root itself: whose it is and its mode are not for a package to say.
            return Ok(());
        }
        if !self.seen.insert(path.clone()) {
            return Err(refused(&shown, "there is another member of that name"));
        }
        self.require_real_folders(&path, &shown)?;

        let node = match kind {
            EntryType::Regular | EntryType::Continuous => {
                let size = entry.size();
                let content = keep(entry, size).map_err(|error| match error {
                    KeepError::Cache(error) => error.into(),
                    KeepError::Read(source) => TarError::Content {
                        member: shown.clone(),
                        source,
                    },
                })?;
                if content.size != size {
                    return Err(refused(
                        &shown,
                        format!(
                            "the archive ends within it: expected {size} bytes, got {}",
                            content.size
                        ),
                    ));
                }
                meta.node(NodeKind::File {
                    content,
                    link: None,
                })
            }
            EntryType::Directory => meta.node(NodeKind::Folder),
            EntryType::Symlink => {
                let target = target
                    .and_then(|target| String::from_utf8(target).ok())
                    .filter(|target| {
                        !target.is_empty() && target.len() <= MAX_PATH && !target.contains('\0')
                    })
                    .ok_or_else(|| {
                        refused(&shown, "its target is empty, too long, or not UTF-8")
                    })?;
                Meta {
                    mode: 0o777,
                    ..meta
                }
                .node(NodeKind::Symlink { target })
            }
            EntryType::Link => match self.hard_link(&path, &shown, target.as_deref())? {
                Some(node) => node,
                // Its name and that of the file are kept until the layers are put together.
                None => {
                    let target = String::from_utf8_lossy(target.as_deref().unwrap_or_default());
                    return self.count_names(&path, &shown, &Node::symlink(target));
                }
            },
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                self.device(&shown, &header, meta)?
            }
            other => {
                return Err(refused(
                    &shown,
                    format!(
                        "members of type {:?} are not supported",
                        other.as_byte() as char
                    ),
                ));
            }
        };
        self.count_names(&path, &shown, &node)?;
        if !names.is_root(node.uid, node.gid) {
            self.owners.insert(path.clone(), names);
        }
        self.root
            .insert(&path, node)
            .map_err(|source| TarError::Place {
                member: shown,
                source,
            })
    }

    fn count_names(&mut self, path: &str, shown: &str, node: &Node) -> Result<(), TarError> {
        let added = self.names.add(&self.root, path, node);
        added.map_err(|Excess { limit, unit }| TarError::Bomb {
            member: shown.to_owned(),
            limit,
            unit,
        })
    }

    /// Refuses a member below a symbolic link, which would end up elsewhere.
    fn require_real_folders(&self, path: &str, shown: &str) -> Result<(), TarError> {
        let links = path.match_indices('/').find_map(|(at, _)| {
            let above = path.get(..at)?;
            let node = self.root.get(above)?;
            (!matches!(node.kind, NodeKind::Folder)).then_some((above, node))
        });
        match links {
            None => Ok(()),
            Some((above, node)) => Err(refused(
                shown,
                format!("`{above}` above it is {}", node.kind.describe()),
            )),
        }
    }

    /// The path that a member's name stands for. Layers are unpacked below the root, so
    /// that a slash before it says nothing.
    fn clean(&self, name: &[u8], folder: bool) -> Result<String, String> {
        let name = match (self.links.is_some(), name) {
            (true, [b'/', rest @ ..]) => rest,
            _ => name,
        };
        clean(name, folder)
    }

    /// The file under another name; `None` where a layer below has it.
    fn hard_link(
        &mut self,
        path: &str,
        shown: &str,
        target: Option<&[u8]>,
    ) -> Result<Option<Node>, TarError> {
        let raw = target.unwrap_or_default();
        let first = self.clean(raw, false).map_err(|why| {
            refused(
                shown,
                format!("its target `{}` is refused: {why}", lossy(raw)),
            )
        })?;
        let found = self.root.get(&first).cloned();
        if let (None, Some(links)) = (&found, &mut self.links) {
            let first = links.get(&first).cloned().unwrap_or(first);
            links.insert(path.to_owned(), first);
            return Ok(None);
        }
        let is_layer = self.links.is_some();
        let mut node = found
            .filter(|node| match node.kind {
                NodeKind::File { .. } => true,
                NodeKind::Folder => false,
                _ => is_layer,
            })
            .ok_or_else(|| {
                refused(
                    shown,
                    format!(
                        "it is a hard link to `{first}`, which is no file before it in the archive"
                    ),
                )
            })?;
        if let NodeKind::File { link, .. } = &mut node.kind {
            link.get_or_insert_with(|| first.clone());
        }
        self.root
            .insert(&first, node.clone())
            .map_err(|source| TarError::Place {
                member: shown.to_owned(),
                source,
            })?;
        Ok(Some(node))
    }

    fn device(&self, shown: &str, header: &tar::Header, meta: Meta) -> Result<Node, TarError> {
        if !self.limits.devices {
            return Err(refused(
                shown,
                "it is a device or a named pipe, which have no place in a package",
            ));
        }
        let number = |number: io::Result<Option<u32>>| {
            number
                .ok()
                .flatten()
                .ok_or_else(|| refused(shown, "its device number makes no sense"))
        };
        Ok(match header.entry_type() {
            EntryType::Fifo => meta.node(NodeKind::Fifo),
            kind => {
                let major = number(header.device_major())?;
                let minor = number(header.device_minor())?;
                meta.node(if kind == EntryType::Char {
                    NodeKind::CharDevice { major, minor }
                } else {
                    NodeKind::BlockDevice { major, minor }
                })
            }
        })
    }
}

/// The path below the root that a member's name stands for; empty for the root.
fn clean(name: &[u8], folder: bool) -> Result<String, String> {
    let name = str::from_utf8(name).map_err(|_| "its name is not UTF-8".to_owned())?;
    check_path(name.strip_prefix("./").unwrap_or(name), folder)
}

/// The checks of [`clean`] on a name without a leading `./`.
pub(crate) fn check_path(name: &str, folder: bool) -> Result<String, String> {
    let name = match name.strip_suffix('/') {
        Some(name) if folder => name,
        _ => name,
    };
    if folder && (name.is_empty() || name == ".") {
        return Ok(String::new());
    }
    if name.starts_with('/') {
        return Err("its path is absolute".to_owned());
    }
    if name.len() > MAX_PATH {
        return Err(format!("its path is longer than {MAX_PATH} bytes"));
    }
    for part in name.split('/') {
        if part.len() > MAX_NAME {
            return Err(format!(
                "a part of its path is longer than {MAX_NAME} bytes"
            ));
        }
        if part == ".." {
            return Err("its path has `..` in it".to_owned());
        }
        if part.is_empty() || part == "." || part.contains('\0') {
            return Err("its path has an empty part, a `.` or a NUL in it".to_owned());
        }
    }
    Ok(name.to_owned())
}
