//! Reading tar archives of any origin into a [`Rootfs`], content into the store.
//!
//! The members are read raw, and what tar keeps in extra headers (GNU's long names,
//! pax records, POSIX.1-2008 pax) is put together here, because this is where bounds
//! can be put on it. Nothing is ever created on the host.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use lunikernel_cache::{BlobStore, Node, NodeKind, Rootfs};
use tar::{Entry, EntryType};

use super::member::{
    self, Collector, DAMAGED, Keep, Limits, MAX_PATH, MemberError, check_path, refused, shown,
};

mod extra;
mod meta;

use extra::Extra;
use meta::Meta;
pub use meta::OwnerNames;

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
    /// One of its members is wrong, or cannot be kept.
    #[error(transparent)]
    Member(#[from] MemberError),
}

impl TarError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Archive { .. } => Some(DAMAGED.to_owned()),
            Self::Member(error) => error.hint(),
        }
    }
}

/// Reads a tar archive, not compressed, storing the content of its files.
///
/// Names are taken without a leading `./`. Time stamps and the names of owners are
/// dropped; the numbers of owners count (`read_named` has the names). Symbolic links are data and are never
/// followed: a member below one is refused.
///
/// # Errors
/// [`TarError`], which names the member.
pub fn unpack(reader: impl Read, limits: Limits, blobs: &BlobStore) -> Result<Rootfs, TarError> {
    read(reader, limits, &mut |content, size| {
        member::store(blobs, content, size)
    })
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
    Ok(read_members(reader, limits, None, keep)?.into.finish())
}

/// What an archive has, and what a root has not.
#[derive(Default)]
pub(crate) struct Named {
    /// Its members, and the folders that they imply.
    pub(crate) root: Rootfs,
    /// The paths of the members themselves, in its order.
    pub(crate) order: Vec<String>,
    /// The names of owners by the path of their members, where they say more than that it
    /// is root.
    pub(crate) owners: BTreeMap<String, OwnerNames>,
}

/// As [`read`], with the order of members and the names of their owners.
pub(crate) fn read_named(
    reader: impl Read,
    limits: Limits,
    keep: &mut Keep<'_>,
) -> Result<Named, TarError> {
    let read = read_members(reader, limits, None, keep)?;
    let mut order: Vec<(usize, String)> = read
        .seen
        .into_iter()
        .map(|(path, number)| (number, path))
        .collect();
    order.sort_unstable();
    Ok(Named {
        root: read.into.finish(),
        order: order.into_iter().map(|(_, path)| path).collect(),
        owners: read.owners,
    })
}

/// As [`read`], for a layer of a container image. Paths may begin with a slash, and hard
/// links may lead to another layer.
pub(crate) fn read_layer(
    reader: impl Read,
    limits: Limits,
    keep: &mut Keep<'_>,
) -> Result<LayerMembers, TarError> {
    let read = read_members(reader, limits, Some(BTreeMap::new()), keep)?;
    Ok(LayerMembers {
        root: read.into.finish(),
        members: read.seen.into_keys().collect(),
        links: read.links.unwrap_or_default(),
    })
}

fn read_members<'k, 'f>(
    mut reader: impl Read,
    limits: Limits,
    links: Option<BTreeMap<String, String>>,
    keep: &'k mut Keep<'f>,
) -> Result<Reading<'k, 'f>, TarError> {
    let mut reading = Reading {
        into: Collector::new(limits, keep),
        seen: BTreeMap::new(),
        links,
        owners: BTreeMap::new(),
    };
    let mut archive = tar::Archive::new(&mut reader);
    let archive_error = |members| move |source| TarError::Archive { members, source };
    let entries = archive.entries().map_err(archive_error(0))?.raw(true);
    let mut extra = Extra::default();
    for entry in entries {
        let mut entry = entry.map_err(archive_error(reading.into.members()))?;
        let name = entry.path_bytes();
        reading.into.announce(&name)?;
        reading.into.charge(&name, entry.size())?;
        drop(name);
        if !extra.take(&mut entry)? {
            let extra = std::mem::take(&mut extra);
            reading.add(&mut entry, extra)?;
        }
    }
    if !extra.is_empty() {
        return Err(refused(
            "(the last one)",
            "it is an extra header without the member that it is about",
        )
        .into());
    }
    let most = reading.into.left().saturating_add(FREE_PADDING);
    let within = require_zeros(&mut reader, most).map_err(archive_error(reading.into.members()))?;
    if !within {
        return Err(MemberError::Bomb {
            member: "the zeros behind its end".to_owned(),
            limit: most,
            unit: "bytes",
        }
        .into());
    }
    Ok(reading)
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

/// An archive as far as it was read.
struct Reading<'k, 'f> {
    into: Collector<'k, 'f>,
    /// Paths that were members themselves, unlike folders that were only needed, and which
    /// of them each was.
    seen: BTreeMap<String, usize>,
    /// Of a layer, the hard links to what is in none before them: path and target.
    links: Option<BTreeMap<String, String>>,
    /// What owners are called, by path, where that says more than their numbers.
    owners: BTreeMap<String, OwnerNames>,
}

impl Reading<'_, '_> {
    fn add<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        mut extra: Extra,
    ) -> Result<(), MemberError> {
        let header = entry.header().clone();
        let kind = header.entry_type();
        let name = extra
            .records
            .remove("path")
            .or(extra.name)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let target = extra
            .records
            .remove("linkpath")
            .or(extra.target)
            .or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
        let path = self
            .clean(&name, kind == EntryType::Directory)
            .map_err(|why| refused(&name, why))?;
        let owners = OwnerNames::read(&header, &mut extra.records);
        let meta = Meta::read(&header, &mut extra.records, entry.size())
            .map_err(|why| refused(&name, why))?;

        let holds_data = matches!(kind, EntryType::Regular | EntryType::Continuous);
        if !holds_data && entry.size() != 0 {
            return Err(refused(&name, "it has content, and it is no file"));
        }
        if path.is_empty() {
            // The root itself: whose it is and its mode are not for a package to say.
            return Ok(());
        }
        let number = self.seen.len();
        let is_new = self.seen.insert(path.clone(), number).is_none();
        if !is_new && !self.gives_way(&path, kind) {
            return Err(refused(&name, "there is another member of that name"));
        }
        self.require_real_folders(&path, &name)?;

        let node = match kind {
            EntryType::Regular | EntryType::Continuous => self.file(&name, entry, meta)?,
            EntryType::Directory => meta.node(NodeKind::Folder),
            EntryType::Symlink => symlink(&name, target, meta)?,
            EntryType::Link => match self.hard_link(&path, &name, target.as_deref())? {
                Some(node) => node,
                // Its name and that of the file are kept until the layers are put together.
                None => {
                    let target = String::from_utf8_lossy(target.as_deref().unwrap_or_default());
                    return (self.into).count_names(&name, &path, &Node::symlink(target));
                }
            },
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                self.device(&name, &header, meta)?
            }
            other => {
                return Err(refused(
                    &name,
                    format!(
                        "members of type {:?} are not supported",
                        other.as_byte() as char
                    ),
                ));
            }
        };
        if !owners.is_root(node.uid, node.gid) {
            self.owners.insert(path.clone(), owners);
        } else {
            self.owners.remove(&path);
        }
        self.into.insert_as(&name, &path, node)
    }

    /// Whether what is at `path` gives way to a later member of that name: what is no folder
    /// and has no other names to what is none, and a folder to a folder.
    fn gives_way(&self, path: &str, to: EntryType) -> bool {
        let to_folder = to == EntryType::Directory;
        self.into.takes_twice()
            && self
                .into
                .root()
                .get(path)
                .is_some_and(|node| match node.kind {
                    NodeKind::Folder => to_folder,
                    NodeKind::File { link: Some(_), .. } => false,
                    _ => !to_folder,
                })
    }

    /// Refuses a member below a symbolic link, which would end up elsewhere.
    fn require_real_folders(&self, path: &str, name: &[u8]) -> Result<(), MemberError> {
        let links = path.match_indices('/').find_map(|(at, _)| {
            let above = path.get(..at)?;
            let node = self.into.root().get(above)?;
            (!matches!(node.kind, NodeKind::Folder)).then_some((above, node))
        });
        match links {
            None => Ok(()),
            Some((above, node)) => Err(refused(
                name,
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
        let name = str::from_utf8(name).map_err(|_| "its name is not UTF-8".to_owned())?;
        check_path(name.strip_prefix("./").unwrap_or(name), folder)
    }

    fn file<R: Read>(
        &mut self,
        name: &[u8],
        entry: &mut Entry<'_, R>,
        meta: Meta,
    ) -> Result<Node, MemberError> {
        let size = entry.size();
        let content = self.into.keep(name, entry, size)?;
        if content.size != size {
            return Err(refused(
                name,
                format!(
                    "the archive ends within it: expected {size} bytes, got {}",
                    content.size
                ),
            ));
        }
        Ok(meta.node(NodeKind::File {
            content,
            link: None,
        }))
    }

    /// The file under another name; `None` where a layer below has it.
    fn hard_link(
        &mut self,
        path: &str,
        name: &[u8],
        target: Option<&[u8]>,
    ) -> Result<Option<Node>, MemberError> {
        let raw = target.unwrap_or_default();
        let first = self.clean(raw, false).map_err(|why| {
            refused(
                name,
                format!("its target `{}` is refused: {why}", shown(raw)),
            )
        })?;
        let found = self.into.root().get(&first).cloned();
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
                    name,
                    format!(
                        "it is a hard link to `{first}`, which is no file before it in the archive"
                    ),
                )
            })?;
        if let NodeKind::File { link, .. } = &mut node.kind {
            link.get_or_insert_with(|| first.clone());
        }
        self.into.replace(name, &first, node.clone())?;
        Ok(Some(node))
    }

    fn device(&self, name: &[u8], header: &tar::Header, meta: Meta) -> Result<Node, MemberError> {
        if !self.into.takes_devices() {
            return Err(refused(
                name,
                "it is a device or a named pipe, which have no place in a package",
            ));
        }
        let number = |number: io::Result<Option<u32>>| {
            number
                .ok()
                .flatten()
                .ok_or_else(|| refused(name, "its device number makes no sense"))
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

fn symlink(name: &[u8], target: Option<Vec<u8>>, meta: Meta) -> Result<Node, MemberError> {
    let target = target
        .and_then(|target| String::from_utf8(target).ok())
        .filter(|target| !target.is_empty() && target.len() <= MAX_PATH && !target.contains('\0'))
        .ok_or_else(|| refused(name, "its target is empty, too long, or not UTF-8"))?;
    Ok(Meta {
        mode: 0o777,
        ..meta
    }
    .node(NodeKind::Symlink { target }))
}
