//! The links among a recipe's own files, which no entry of a zip can be.

use std::collections::BTreeMap;
use std::io::Read as _;

use lunikernel_cache::artefact::{Artefact, FILES, check_name};
use lunikernel_cache::canonical;
use serde::{Deserialize, Serialize};

use super::error::LockError;
use crate::source::file::stays_inside;

/// The entry that lists the links among the files of the recipe's own, where there are any.
pub const LINKS: &str = "files.links.json";

/// The largest list that is read, in bytes.
const MAX_LIST: u64 = 8 << 20;

/// The links among a recipe's own files: targets by paths beside the recipe.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Links {
    format: Format,
    links: BTreeMap<String, String>,
    /// How many bytes the list has at most, as it is written.
    #[serde(skip)]
    most: usize,
}

/// The version of the list's form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[default]
    #[serde(rename = "lunikernel-links/1")]
    V1,
}

impl Links {
    /// Adds a link, whose path is one that a file could have.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn add(&mut self, path: &str, target: &str) -> Result<(), String> {
        check(path, target)?;
        // JSON may take six bytes for one of a target.
        self.most += path.len() + 6 * target.len() + 6;
        if self.most as u64 > MAX_LIST - 64 {
            return Err("there are too many".to_owned());
        }
        self.links.insert(path.to_owned(), target.to_owned());
        Ok(())
    }

    /// The list as an entry; `None` where there is nothing to list.
    pub(crate) fn to_json(&self) -> Result<Option<Vec<u8>>, serde_json::Error> {
        (!self.links.is_empty())
            .then(|| canonical::to_vec(self))
            .transpose()
    }

    /// What `artefact` lists, by path: none is that of a file, nor leads through a link.
    pub(super) fn of(artefact: &Artefact) -> Result<BTreeMap<String, String>, LockError> {
        let entries = &artefact.manifest().entries;
        if !entries.contains_key(LINKS) {
            return Ok(BTreeMap::new());
        }
        let wrong = |flaw: String| LockError::Links {
            artefact: artefact.label().to_owned(),
            flaw,
        };
        let mut bytes = Vec::new();
        let mut entry = artefact.entry(LINKS)?.take(MAX_LIST);
        entry
            .read_to_end(&mut bytes)
            .map_err(|source| LockError::Io {
                attempted: "read the list of links of the Lunikernel",
                source,
            })?;
        let list: Self = canonical::from_slice(&bytes).map_err(|flaw| wrong(flaw.to_string()))?;
        if list.links.is_empty() {
            return Err(wrong("it lists nothing".to_owned()));
        }
        for (path, target) in &list.links {
            check(path, target).map_err(|flaw| wrong(format!("`{path}`: {flaw}")))?;
        }
        let files = entries.keys().filter_map(|name| name.strip_prefix(FILES));
        let paths = files.clone().chain(list.links.keys().map(String::as_str));
        for path in paths {
            let above = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
            if let Some(link) = { above }.find(|above| list.links.contains_key(*above)) {
                return Err(wrong(format!("`{path}` would be in the link `{link}`")));
            }
        }
        if let Some(path) = { files }.find(|path| list.links.contains_key(*path)) {
            return Err(wrong(format!("`{path}` is a file as well")));
        }
        Ok(list.links)
    }
}

/// What keeps a link from being carried; it may not lead out of the recipe's folder.
fn check(path: &str, target: &str) -> Result<(), String> {
    check_name(format!("{FILES}{path}").as_bytes())
        .map_err(|flaw| format!("it cannot be the name of an entry: {flaw}"))?;
    if target.is_empty()
        || target.contains('\0')
        || !stays_inside(target, path.matches('/').count())
    {
        return Err(format!(
            "a link to `{target}` leads out of the recipe's folder"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_back_is_not_written() {
        let mut links = Links::default();
        assert_eq!(links.to_json().unwrap(), None);
        links.add("a/b", "../c").unwrap();
        let json = links.to_json().unwrap().unwrap();
        let expected = br#"{"format":"lunikernel-links/1","links":{"a/b":"../c"}}"#;
        assert_eq!(json, expected);
        for (path, target) in [("a b", "c"), ("a", ""), ("a", "/c"), ("a/b", "../../c")] {
            links.add(path, target).unwrap_err();
        }
        let long = "c".repeat(1 << 19);
        links.add("two", &long).unwrap();
        links.add("three", &long).unwrap();
        links.add("four", &long).unwrap_err();
    }
}
