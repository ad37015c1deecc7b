//! The database of what is installed, `lib/apk/db/installed`, as apk writes it
//! (apk-installed(5)): for each package its entry in the index, then its folders and files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use lunikernel_cache::{Node, NodeKind};

use super::order::displayed;
use super::{Info, OwnerNames, Package};
use crate::source::apk::is_provision;

/// What is installed, in the order in which it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installed {
    entries: Vec<Entry>,
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    version: String,
    origin: String,
    replaces: Vec<String>,
    replaces_priority: u64,
    /// Its lines up to the first folder.
    head: String,
    folders: Vec<Folder>,
}

/// A folder that a package has something in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Folder {
    path: String,
    /// `M:` with what differs from root's 0755.
    owner: Option<String>,
    files: Vec<File>,
}

/// A file of a package: `R:`, and `a:` and `Z:` below it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    name: String,
    owner: Option<String>,
    sum: Option<String>,
}

/// A database of what is installed that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not read the database of installed packages: line {line} {why}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// Who has a file, and what it may replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) name: String,
    pub(super) version: String,
    /// What it was built from, together with others; empty where that is not known.
    pub(super) origin: String,
    pub(super) replaces: Vec<String>,
    pub(super) priority: u64,
}

impl Installed {
    /// Reads a database.
    ///
    /// # Errors
    /// [`ParseError`] with the first line that cannot be read.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut entries = Vec::new();
        let mut current: Option<Entry> = None;
        for (number, line) in text.lines().enumerate() {
            let wrong = |why: &str| ParseError {
                line: number + 1,
                why: why.to_owned(),
            };
            if line.contains('\r') {
                return Err(wrong("has a carriage return in it"));
            }
            if line.is_empty() {
                entries.extend(current.take());
                continue;
            }
            let Some((letter, value)) = line.split_once(':').filter(|(l, _)| l.len() == 1) else {
                return Err(wrong("is no letter, colon and value"));
            };
            let entry = current.get_or_insert_with(|| Entry {
                name: String::new(),
                version: String::new(),
                origin: String::new(),
                replaces: Vec::new(),
                replaces_priority: 0,
                head: String::new(),
                folders: Vec::new(),
            });
            let folder = entry.folders.last_mut();
            match (letter, folder) {
                ("F", _) => entry.folders.push(Folder {
                    path: value.to_owned(),
                    owner: None,
                    files: Vec::new(),
                }),
                ("M", Some(folder)) => folder.owner = Some(value.to_owned()),
                ("R", Some(folder)) => folder.files.push(File {
                    name: value.to_owned(),
                    owner: None,
                    sum: None,
                }),
                ("a" | "Z", Some(folder)) => {
                    let file = folder
                        .files
                        .last_mut()
                        .ok_or_else(|| wrong("is about a file, and none is named before it"))?;
                    let field = if letter == "a" {
                        &mut file.owner
                    } else {
                        &mut file.sum
                    };
                    *field = Some(value.to_owned());
                }
                (_, Some(_)) => return Err(wrong("belongs before the first folder")),
                (_, None) => {
                    match letter {
                        "P" => value.clone_into(&mut entry.name),
                        "V" => value.clone_into(&mut entry.version),
                        "o" => value.clone_into(&mut entry.origin),
                        "r" => entry.replaces = words(value),
                        "q" => {
                            entry.replaces_priority =
                                value.parse().map_err(|_| wrong("is no number"))?;
                        }
                        "M" | "R" | "a" | "Z" => {
                            return Err(wrong("is about a folder, and none is named before it"));
                        }
                        _ => {}
                    }
                    let _ = writeln!(entry.head, "{line}");
                }
            }
        }
        entries.extend(current);
        Ok(Self { entries })
    }

    /// The database's text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        for entry in &self.entries {
            text.push_str(&entry.head);
            for folder in &entry.folders {
                let _ = writeln!(text, "F:{}", folder.path);
                if let Some(owner) = &folder.owner {
                    let _ = writeln!(text, "M:{owner}");
                }
                for file in &folder.files {
                    let _ = writeln!(text, "R:{}", file.name);
                    if let Some(owner) = &file.owner {
                        let _ = writeln!(text, "a:{owner}");
                    }
                    if let Some(sum) = &file.sum {
                        let _ = writeln!(text, "Z:{sum}");
                    }
                }
            }
            text.push('\n');
        }
        text
    }

    /// The same by name, as apk writes it.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        (self.entries).sort_by(|a, b| displayed(&a.name).cmp(&displayed(&b.name)));
        self
    }

    /// The names of the packages, in the order in which they were installed.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// The names of the packages with their lines up to the first folder, which are those
    /// that an index has.
    pub(crate) fn heads(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.head.as_str()))
    }

    /// The files that packages have, each with the number of its package.
    pub(super) fn files(&self) -> impl Iterator<Item = (String, usize)> {
        self.entries.iter().enumerate().flat_map(|(number, entry)| {
            entry.folders.iter().flat_map(move |folder| {
                folder
                    .files
                    .iter()
                    .map(move |file| (join(&folder.path, &file.name), number))
            })
        })
    }

    /// The folders that packages have, each with the number of its package.
    pub(super) fn folders(&self) -> impl Iterator<Item = (&str, usize)> {
        self.entries.iter().enumerate().flat_map(|(number, entry)| {
            let folders = entry.folders.iter();
            folders.map(move |folder| (folder.path.as_str(), number))
        })
    }

    /// The package with that number, as the owner of its files.
    pub(super) fn owner(&self, number: usize) -> Option<Owner> {
        self.entries.get(number).map(|entry| Owner {
            name: entry.name.clone(),
            version: entry.version.clone(),
            origin: entry.origin.clone(),
            replaces: entry.replaces.clone(),
            priority: entry.replaces_priority,
        })
    }

    /// Takes files from the package with that number, as another has them now.
    pub(super) fn disown(&mut self, number: usize, paths: &BTreeSet<String>) {
        if let Some(entry) = self.entries.get_mut(number) {
            for Folder { path, files, .. } in &mut entry.folders {
                files.retain(|file| !paths.contains(&join(path, &file.name)));
            }
        }
    }

    /// How many packages there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Writes down whose the folders and files of `package` are, which has that number.
    pub(super) fn give(&mut self, number: usize, package: &Package, numbers: &Numbers<'_>) {
        let line = |path: &str, usual: u32| {
            let node = package.root.get(path)?;
            owner_line(&owned(node, package.owners.get(path), numbers), usual)
        };
        let entry = self.entries.get_mut(number);
        for folder in entry.into_iter().flat_map(|entry| &mut entry.folders) {
            folder.owner = line(&folder.path, 0o755);
            for file in &mut folder.files {
                file.owner = line(&join(&folder.path, &file.name), 0o644);
            }
        }
    }

    /// Adds a package, with those of its files that `keeps` says it has, and returns its
    /// number. `size` is that of its file.
    pub(super) fn add(
        &mut self,
        package: &Package,
        size: u64,
        keeps: &dyn Fn(&str) -> bool,
    ) -> usize {
        let mut folders: Vec<Folder> = Vec::new();
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        for path in &package.order {
            let Some(node) = package.root.get(path) else {
                continue;
            };
            let is_folder = matches!(node.kind, NodeKind::Folder);
            let (at, name) = match path.rsplit_once('/') {
                _ if is_folder => (path.as_str(), ""),
                Some(parts) => parts,
                None => ("", path.as_str()),
            };
            let number = *numbers.entry(at).or_insert_with(|| {
                folders.push(Folder {
                    path: at.to_owned(),
                    owner: None,
                    files: Vec::new(),
                });
                folders.len() - 1
            });
            let Some(folder) = folders.get_mut(number) else {
                continue;
            };
            if is_folder {
                folder.owner = owner_line(node, 0o755);
            } else if keeps(path) {
                folder.files.push(File {
                    name: name.to_owned(),
                    owner: owner_line(node, 0o644),
                    sum: package.sums.get(path).map(ToString::to_string),
                });
            }
        }
        self.entries.push(Entry {
            name: package.info.name.clone(),
            version: package.info.version.clone(),
            origin: package.info.origin.clone(),
            replaces: package.info.replaces.clone(),
            replaces_priority: package.info.replaces_priority,
            head: head(package, size),
            folders,
        });
        self.entries.len() - 1
    }
}

/// The numbers that names of owners have in a system; none for those that it does not have.
pub type Numbers<'a> = dyn Fn(&OwnerNames) -> (Option<u32>, Option<u32>) + 'a;

/// A node of a package with the owners that it gets.
pub(super) fn owned(node: &Node, names: Option<&OwnerNames>, numbers: &Numbers<'_>) -> Node {
    let (uid, gid) = names.map_or((None, None), numbers);
    Node {
        uid: uid.unwrap_or(node.uid),
        gid: gid.unwrap_or(node.gid),
        ..node.clone()
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

/// `uid:gid:mode` where they are not root's and `usual`.
fn owner_line(node: &Node, usual: u32) -> Option<String> {
    let Node { uid, gid, mode, .. } = node;
    ((*uid, *gid, *mode) != (0, 0, usual)).then(|| format!("{uid}:{gid}:{mode:o}"))
}

/// The lines of a package's entry up to its files.
fn head(package: &Package, size: u64) -> String {
    let info: &Info = &package.info;
    let mut text = String::new();
    // These are there even where they say nothing.
    let always = [
        ('C', package.checksum.to_string()),
        ('P', info.name.clone()),
        ('V', info.version.clone()),
        ('A', info.arch.clone()),
        ('S', size.to_string()),
        ('I', number(&info.size).to_owned()),
        ('T', info.description.clone()),
        ('U', info.url.clone()),
        ('L', info.licence.clone()),
    ];
    for (letter, value) in always {
        let _ = writeln!(text, "{letter}:{value}");
    }
    // What nobody can ask for is left out.
    let provides = info.provides.iter().filter(|word| is_provision(word));
    let provides: Vec<&str> = provides.map(String::as_str).collect();
    let replaces_priority = info.replaces_priority.to_string();
    let sometimes = [
        ('o', info.origin.clone()),
        ('m', info.maintainer.clone()),
        ('t', unless_zero(&info.build_date)),
        ('c', info.commit.clone()),
        ('k', unless_zero(&info.provider_priority)),
        ('D', info.depends.join(" ")),
        ('p', provides.join(" ")),
        ('i', info.install_if.join(" ")),
        ('r', info.replaces.join(" ")),
        ('q', unless_zero(&replaces_priority)),
    ];
    for (letter, value) in sometimes {
        if !value.is_empty() {
            let _ = writeln!(text, "{letter}:{value}");
        }
    }
    text
}

/// A number as apk writes it.
fn number(text: &str) -> &str {
    if text.is_empty() { "0" } else { text }
}

/// The same where it is not nothing.
fn unless_zero(text: &str) -> String {
    match number(text) {
        "0" => String::new(),
        text => text.to_owned(),
    }
}
