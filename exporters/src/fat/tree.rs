//! The files that are to be in a file system.

use std::collections::BTreeMap;

use super::{FatError, MAX_FILE, NameFlaw};
use crate::content::Content;

/// The longest name, in UTF-16 code units.
const MAX_NAME: usize = 255;
/// How many folders a file may be in. It bounds the depth of recursion over the tree.
const MAX_DEPTH: usize = 32;

/// Files by their path. The file system depends on what is in it, and not on the order in
/// which it was put there.
#[derive(Debug, Clone, Default)]
pub struct FileTree {
    pub(super) root: Folder,
}

/// By the name in upper case, because names that differ in case alone are the same.
pub(super) type Folder = BTreeMap<String, Node>;

/// A file or a folder.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Folder(Folder),
    File(Content),
}

impl FileTree {
    /// A tree without files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file; `path` is its path from the root, with `/` between its parts. The
    /// folders that it is in come to be.
    ///
    /// # Errors
    /// [`FatError::Name`] and [`FatError::FileTooLarge`].
    pub fn add(&mut self, path: &str, content: Content) -> Result<(), FatError> {
        let size = content.len();
        if size > MAX_FILE {
            let path = path.escape_debug().to_string();
            return Err(FatError::FileTooLarge { path, size });
        }
        self.insert(path, Kind::File(content))
            .map_err(|flaw| FatError::Name {
                path: path.escape_debug().to_string(),
                flaw,
            })
    }

    fn insert(&mut self, path: &str, kind: Kind) -> Result<(), NameFlaw> {
        path.split('/').try_for_each(check)?;
        if path.split('/').count() > MAX_DEPTH {
            return Err(NameFlaw::TooDeep);
        }
        let (folders, last) = path.rsplit_once('/').unwrap_or(("", path));
        let mut folder = &mut self.root;
        for name in folders.split('/').filter(|name| !name.is_empty()) {
            let node = (folder.entry(name.to_uppercase())).or_insert_with(|| Node {
                name: name.to_owned(),
                kind: Kind::Folder(Folder::new()),
            });
            match &mut node.kind {
                Kind::Folder(inner) if node.name == name => folder = inner,
                _ => return Err(NameFlaw::Twice),
            }
        }
        if folder.contains_key(&last.to_uppercase()) {
            return Err(NameFlaw::Twice);
        }
        let name = last.to_owned();
        folder.insert(last.to_uppercase(), Node { name, kind });
        Ok(())
    }
}

fn check(name: &str) -> Result<(), NameFlaw> {
    let bad = |it: char| it.is_control() || "\"*:<>?\\|".contains(it);
    if matches!(name, "" | "." | "..") {
        Err(NameFlaw::Part)
    } else if name.contains(bad) {
        Err(NameFlaw::Character)
    } else if name.ends_with(['.', ' ']) {
        Err(NameFlaw::End)
    } else if name.encode_utf16().count() > MAX_NAME {
        Err(NameFlaw::TooLong)
    } else {
        Ok(())
    }
}
