//! The day on which a password was changed, field 3 of `/etc/shadow` (shadow(5)): `adduser`
//! writes today's into the line of each user that it makes. What is built does not depend on
//! the day, so it becomes that of `SOURCE_DATE_EPOCH`.

use std::collections::BTreeSet;

use lunikernel_cache::tree::Entry;
use lunikernel_cache::{BlobStore, Tree};

use crate::build::BuildError;
use crate::plan::SOURCE_DATE_EPOCH;

/// The file, and what it was before its last change.
const FILES: [&str; 2] = ["etc/shadow", "etc/shadow-"];
/// The largest that is read, in bytes: a hundred thousand users.
const MAX_SIZE: u64 = 16 << 20;
/// A day, in seconds.
const DAY: u32 = 86400;

/// Sets the days in `after` that were not in `before`.
pub(super) fn settle(before: &Tree, after: &mut Tree, blobs: &BlobStore) -> Result<(), BuildError> {
    let read = |tree: &Tree, path: &str| match tree.get(path) {
        Some(Entry::File { digest, .. }) if digest.size <= MAX_SIZE => {
            let bytes = blobs.read(digest)?;
            // What is no text has no users, and what follows leaves it as it is.
            Ok(String::from_utf8(bytes).unwrap_or_default())
        }
        _ => Ok::<_, BuildError>(String::new()),
    };
    let mut old = String::new();
    for path in FILES {
        old.push_str(&read(before, path)?);
        old.push('\n');
    }
    let known: BTreeSet<(&str, &str)> = old.lines().filter_map(changed).collect();
    for path in FILES {
        let text = read(after, path)?;
        let settled: String = text
            .split_inclusive('\n')
            .map(|line| line_of(line, &known))
            .collect();
        if settled != text
            && let Some(Entry::File { executable, .. }) = after.get(path)
        {
            let entry = Entry::File {
                digest: blobs.put(settled.as_bytes())?,
                executable: *executable,
            };
            after.insert(path, entry)?;
        }
    }
    Ok(())
}

/// Whose line it is, and its day.
fn changed(line: &str) -> Option<(&str, &str)> {
    let mut fields = line.split(':');
    Some((fields.next()?, fields.nth(1)?))
}

/// A line with the day that it is to have. Empty and 0 are no days: that there is none, and
/// that the password must be changed.
fn line_of(line: &str, known: &BTreeSet<(&str, &str)>) -> String {
    let is_day = |day: &str| {
        day.bytes().all(|byte| byte.is_ascii_digit()) && day.bytes().any(|byte| byte != b'0')
    };
    match (
        changed(line),
        line.splitn(4, ':').collect::<Vec<_>>().as_slice(),
    ) {
        (Some(whose), [name, password, day, rest]) if is_day(day) && !known.contains(&whose) => {
            format!("{name}:{password}:{}:{rest}", SOURCE_DATE_EPOCH / DAY)
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use lunikernel_cache::Cache;

    use super::*;

    #[test]
    fn days_that_scripts_wrote_are_none_of_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let blobs = cache.blobs();
        let tree = |files: &[(&str, &str)]| {
            let mut tree = Tree::new();
            for (path, text) in files {
                let digest = blobs.put(text.as_bytes()).unwrap();
                let executable = false;
                tree.insert(path, Entry::File { digest, executable })
                    .unwrap();
            }
            tree
        };
        let base = "root:*::0:::::\nold:!:19000:0:99999:7:::\n";
        let before = tree(&[("etc/shadow", base), ("etc/passwd", "")]);
        let written = |day: &str, locked: &str| {
            let new = format!(
                "{base}web:!:{day}:0:99999:7:::\nfirst:!:0:0:::::\nshort:!:{day}\nodd:!:{day}x:0:::::"
            );
            tree(&[
                ("etc/shadow", &new.replace("old:!:19000", locked)),
                ("etc/shadow-", &format!("{base}web:!:{day}:0:99999:7:::\n")),
                ("etc/passwd", ""),
            ])
        };
        let mut after = written("20779", "old:!:20780");
        settle(&before, &mut after, blobs).unwrap();
        let mut expected = written("3652", "old:!:3652");
        let text = |tree: &Tree| match tree.get("etc/shadow") {
            Some(Entry::File { digest, .. }) => {
                String::from_utf8(blobs.read(digest).unwrap()).unwrap()
            }
            _ => String::new(),
        };
        // What is no line of shadow(5), or has no number there, stays.
        assert_eq!(
            text(&after),
            text(&expected)
                .replace("short:!:3652", "short:!:20779")
                .replace("3652x", "20779x")
        );
        expected = written("3652", "old:!:19000");
        assert_eq!(after.get("etc/shadow-"), expected.get("etc/shadow-"));
        assert_eq!(after.get("etc/passwd"), before.get("etc/passwd"));
        let mut same = before.clone();
        settle(&before, &mut same, blobs).unwrap();
        assert_eq!(same, before);
    }
}
