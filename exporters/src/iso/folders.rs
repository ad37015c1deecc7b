//! The folders of a disc, and the files in them.

use std::collections::BTreeMap;

use super::record::{self, Entry, Own};
use super::{BLOCK, IsoError, MAX_DEPTH, MAX_NAME};

/// What is behind the name of a file that has no extension.
const NO_EXTENSION: &str = ".;1";

/// Where something is: its first block, and its size in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) block: u32,
    pub(super) len: u32,
}

impl Place {
    pub(super) fn blocks(self) -> u32 {
        self.len.div_ceil(BLOCK as u32)
    }
}

/// All folders, the root first.
#[derive(Debug)]
pub(super) struct Folders {
    all: Vec<Folder>,
    /// How many files there are.
    files: usize,
    /// Where folders are, in the order of the path table, as far as that is known.
    placed: Vec<Place>,
}

#[derive(Debug, Default)]
struct Folder {
    identifier: String,
    parent: usize,
    depth: usize,
    /// By their identifiers, whose order is that of records (ECMA-119, 9.3): a dot is
    /// less than every other character in them.
    children: BTreeMap<String, Child>,
}

#[derive(Debug)]
struct Child {
    name: String,
    what: What,
}

/// A number of a folder or of a file.
#[derive(Debug, Clone, Copy)]
enum What {
    Folder(usize),
    File(usize),
}

impl Folders {
    pub(super) fn new() -> Self {
        Self {
            all: vec![Folder::default()],
            files: 0,
            placed: Vec::new(),
        }
    }

    /// Adds a file of `len` bytes. The folders that it is in come to be.
    pub(super) fn add(&mut self, path: &str, len: u64) -> Result<(), IsoError> {
        let wrong = || IsoError::Path {
            path: path.escape_debug().to_string(),
        };
        if len > u32::MAX.into() {
            return Err(IsoError::FileTooLarge {
                path: path.escape_debug().to_string(),
                size: len,
            });
        }
        let names: Vec<&str> = path.split('/').collect();
        if names.len() > MAX_DEPTH || !names.iter().all(|name| is_name(name)) {
            return Err(wrong());
        }
        let (name, folders) = names.split_last().ok_or_else(wrong)?;
        let twice = || IsoError::Twice {
            path: path.to_owned(),
        };
        let mut at = 0;
        for folder in folders {
            at = self.folder(at, folder).ok_or_else(twice)?;
        }
        let identifier = file_identifier(name);
        let what = What::File(self.files);
        self.files += 1;
        self.child(at, identifier, name, what).ok_or_else(twice)
    }

    /// The folder of that name in folder `at`; `None` where there is something else.
    fn folder(&mut self, at: usize, name: &str) -> Option<usize> {
        let identifier = plain(name);
        let parent = self.all.get(at)?;
        if let Some(child) = parent.children.get(&identifier) {
            return match child.what {
                What::Folder(number) if child.name == name => Some(number),
                _ => None,
            };
        }
        let number = self.all.len();
        let depth = parent.depth + 1;
        self.child(at, identifier.clone(), name, What::Folder(number))?;
        self.all.push(Folder {
            identifier,
            parent: at,
            depth,
            children: BTreeMap::new(),
        });
        Some(number)
    }

    /// `None` where there is one of that identifier, or of one that readers show alike: a
    /// file's without an extension is a folder's with something behind it.
    fn child(&mut self, at: usize, identifier: String, name: &str, what: What) -> Option<()> {
        let children = &mut self.all.get_mut(at)?.children;
        let alike = match identifier.strip_suffix(NO_EXTENSION) {
            Some(stem) => stem.to_owned(),
            None => identifier.clone() + NO_EXTENSION,
        };
        if children.contains_key(&identifier) || children.contains_key(&alike) {
            return None;
        }
        let name = name.to_owned();
        children.insert(identifier, Child { name, what });
        Some(())
    }

    /// Folders in the order of the path table (ECMA-119, 9.4): by depth, by the number of
    /// what they are in, by identifier.
    fn order(&self) -> Vec<usize> {
        let mut order = vec![0];
        let mut done = 0;
        while let Some(folder) = order.get(done).and_then(|number| self.all.get(*number)) {
            let children = folder.children.values();
            order.extend(children.filter_map(|child| match child.what {
                What::Folder(number) => Some(number),
                What::File(_) => None,
            }));
            done += 1;
        }
        order
    }

    fn in_order(&self) -> impl Iterator<Item = &Folder> {
        (self.order().into_iter()).filter_map(|number| self.all.get(number))
    }

    /// The sizes of the folders' listings, in the order of the path table.
    pub(super) fn listing_lens(&self) -> Vec<u64> {
        let nowhere = |_| Place::default();
        let listings = (self.in_order()).map(|folder| self.listing(folder, &nowhere));
        listings.map(|it| it.len() as u64).collect()
    }

    /// Says where the next folder is, in the order of the path table.
    pub(super) fn place_next(&mut self, place: Place) {
        self.placed.push(place);
    }

    /// Where the root is.
    pub(super) fn root(&self) -> Place {
        self.placed.first().copied().unwrap_or_default()
    }

    /// What is in each folder, and where that goes, where `files` are at those places.
    pub(super) fn listings(&self, files: &[Place]) -> Vec<(Place, Vec<u8>)> {
        let order = self.order();
        let places: BTreeMap<usize, Place> = (order.iter().copied())
            .zip(self.placed.iter().copied())
            .collect();
        let place = |what| match what {
            What::Folder(number) => places.get(&number).copied().unwrap_or_default(),
            What::File(number) => files.get(number).copied().unwrap_or_default(),
        };
        let listings = (self.in_order()).map(|folder| self.listing(folder, &place));
        self.placed.iter().copied().zip(listings).collect()
    }

    fn listing(&self, folder: &Folder, place: &dyn Fn(What) -> Place) -> Vec<u8> {
        let number = |of: &Folder| match self.all.get(of.parent) {
            // The root is in itself.
            Some(parent) if of.depth > 0 => {
                let found = parent.children.get(&of.identifier);
                found.map_or(What::Folder(0), |child| child.what)
            }
            _ => What::Folder(0),
        };
        let parent = self.all.get(folder.parent).unwrap_or(folder);
        let mut records = Vec::new();
        let own = match folder.depth {
            0 => Own::Root,
            _ => Own::Folder,
        };
        records.push(record::own(own, place(number(folder)), folder.links()));
        records.push(record::own(
            Own::Parent,
            place(number(parent)),
            parent.links(),
        ));
        for (identifier, child) in &folder.children {
            let links = match child.what {
                What::Folder(number) => self.all.get(number).map(Folder::links),
                What::File(_) => None,
            };
            records.push(record::entry(&Entry {
                identifier,
                name: &child.name,
                place: place(child.what),
                folder_links: links,
            }));
        }
        record::pack(&records)
    }

    /// How long a path table is, in bytes.
    pub(super) fn path_table_len(&self) -> u64 {
        self.path_table(u16::to_le_bytes, u32::to_le_bytes).len() as u64
    }

    /// The path table (ECMA-119, 9.4), in one of both orders of bytes.
    pub(super) fn path_table(
        &self,
        short: impl Fn(u16) -> [u8; 2],
        long: impl Fn(u32) -> [u8; 4],
    ) -> Vec<u8> {
        let order = self.order();
        let mut table = Vec::new();
        for (at, folder) in self.in_order().enumerate() {
            let identifier = match folder.depth {
                0 => &[0],
                _ => folder.identifier.as_bytes(),
            };
            let parent = order.iter().position(|number| *number == folder.parent);
            let parent = parent.unwrap_or_default() as u16 + 1;
            let place = self.placed.get(at).copied().unwrap_or_default();
            table.extend_from_slice(&[identifier.len() as u8, 0]);
            table.extend_from_slice(&long(place.block));
            table.extend_from_slice(&short(parent));
            table.extend_from_slice(identifier);
            if identifier.len() % 2 == 1 {
                table.push(0);
            }
        }
        table
    }
}

impl Folder {
    /// How often it is linked: by the folder that it is in, by itself, by those in it.
    fn links(&self) -> u32 {
        let inner = self.children.values();
        2 + inner
            .filter(|it| matches!(it.what, What::Folder(_)))
            .count() as u32
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |it: u8| it.is_ascii_alphanumeric() || b"._-".contains(&it);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(allowed) && !matches!(name, "." | "..")
}

/// In the characters that identifiers have.
pub(super) fn plain(name: &str) -> String {
    let one = |it: char| match it.to_ascii_uppercase() {
        it if it.is_ascii_uppercase() || it.is_ascii_digit() => it,
        _ => '_',
    };
    name.chars().map(one).collect()
}

/// A file's identifier (ECMA-119, 7.5): its name, an extension, its version.
fn file_identifier(name: &str) -> String {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    format!("{}.{};1", plain(stem), plain(extension))
}
