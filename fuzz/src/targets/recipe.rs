//! What people and `luni lock` write.

use std::fmt::Write as _;

use lunikernel_builder::lock::LockFile;
use lunikernel_builder::recipe::{Complaint, Recipe, Severity};
use lunikernel_builder::source::git::modules;

/// A recipe: an accepted one is read back from what it is written as; about another
/// there is a complaint that names a line which exists.
pub(crate) fn recipe(data: &[u8]) -> bool {
    match Recipe::from_bytes(data, "recipe.yaml", None) {
        Ok((recipe, text, _)) => {
            assert_eq!(text.as_bytes(), data);
            let written = serde_json::to_value(&recipe).expect("what was read can be written");
            let again: Recipe = serde_json::from_value(written).expect("it can be read again");
            assert_eq!(again, recipe);
            true
        }
        Err(complaints) => {
            check_complaints(data, &complaints);
            false
        }
    }
}

/// One of them is an error, and each names a line that exists and is fit for a terminal.
pub(crate) fn check_complaints(data: &[u8], complaints: &[Complaint]) {
    let is_error = |severity| severity == Severity::Error;
    assert!(complaints.iter().any(|it| is_error(it.severity)));
    let lines = data.iter().filter(|byte| **byte == b'\n').count() + 1;
    for complaint in complaints {
        let shown = complaint.to_string();
        assert!((1..=lines).contains(&complaint.line), "{shown}");
        let hidden = |c: char| c.is_control() && c != '\n';
        assert!(!shown.contains(hidden), "{shown:?}");
    }
}

/// A lockfile: an accepted one is read back from what it is written as.
pub(crate) fn lock(data: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(data) else {
        return false;
    };
    let Ok(lock) = LockFile::parse(text) else {
        return false;
    };
    let written = lock.render().expect("what was read can be written");
    let again = LockFile::parse(&written).expect("what was written can be read");
    assert_eq!(again, lock);
    true
}

/// `.gitmodules`: an accepted one is read back from what it is written as.
pub(crate) fn gitmodules(data: &[u8]) -> bool {
    let Ok(found) = modules::parse(&String::from_utf8_lossy(data)) else {
        return false;
    };
    let quoted = |text: &str| {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{}\"", text.replace('\n', "\\n").replace('\t', "\\t"))
    };
    let mut written = String::new();
    for (number, (path, url)) in found.iter().enumerate() {
        let (path, url) = (quoted(path), quoted(url));
        let _ = write!(
            written,
            "[submodule \"{number}\"]\npath = {path}\nurl = {url}\n"
        );
    }
    assert_eq!(modules::parse(&written), Ok(found));
    true
}
