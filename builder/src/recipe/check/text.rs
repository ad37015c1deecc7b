//! Which texts can be names, versions and paths.

/// Whether a text can be a recipe's name: 1 to 64 lower-case letters, digits and `-`,
/// beginning with a letter, and no word that YAML takes for something else. It becomes a file name and a part of image names in clouds.
#[must_use]
pub fn is_recipe_name(name: &str) -> bool {
    is_word(name, "-")
        && !["true", "false", "null"].contains(&name)
        && name.starts_with(|c: char| c.is_ascii_lowercase())
}

/// A name of a source or step.
pub(super) fn is_item_name(name: &str) -> bool {
    is_word(name, "._-") && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
}

/// Lower-case letters, digits and what else is allowed, at most 64 of them.
fn is_word(name: &str, also: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || also.contains(c))
}

/// A version, for people.
pub(super) fn is_version(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".+~_-".contains(c))
}

/// A user's name, as useradd(8) takes it.
pub(super) fn is_user_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
}

/// The name of an environment variable (POSIX.1-2017, 8.1).
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The name of a Debian package (Debian policy, 5.6.1).
pub(super) fn is_deb_package(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
}

/// The version of a Debian package (Debian policy, 5.6.12), roughly.
pub(super) fn is_deb_version(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".+~:-".contains(c))
}

/// A code name of a release or a component of an archive: `bookworm-updates`.
pub(super) fn is_deb_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// The name of a kernel module.
pub(super) fn is_module(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

/// Whether a path stays below where it begins; if not, why.
pub(super) fn relative_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("it is empty");
    }
    if path.starts_with('/') {
        return Err("it begins with `/`");
    }
    if path.contains(|c: char| c.is_control()) {
        return Err("it has a control character");
    }
    for part in path.split('/') {
        match part {
            "" => return Err("a part of it is empty"),
            "." | ".." => return Err("it has `.` or `..` as a part"),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a path is absolute and in its shortest form; if not, why.
pub(super) fn absolute_path(path: &str) -> Result<(), &'static str> {
    match path.strip_prefix('/') {
        None => Err("it does not begin with `/`"),
        Some("") => Err("it is the root itself"),
        Some(rest) => relative_path(rest),
    }
}
