//! Paths in the commands that hints tell people to run.

use std::path::Path;

/// `path` as an argument that a shell takes as it is, and a program not for an option.
#[must_use]
pub fn quoted(path: &Path) -> String {
    let mut text = path.display().to_string();
    if text.starts_with('-') {
        text.insert_str(0, "./");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_shell_would_change_is_quoted() {
        for (path, expected) in [
            ("recipes/debian/hello", "recipes/debian/hello"),
            ("my recipes", "'my recipes'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
            ("-rf", "./-rf"),
        ] {
            assert_eq!(quoted(Path::new(path)), expected);
        }
    }
}
