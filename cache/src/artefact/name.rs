//! The names that entries may have.

/// The longest name of an entry, in bytes.
pub const MAX_NAME_LENGTH: usize = 255;

/// Why a name cannot be an entry's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFlaw {
    /// It has no character.
    #[error("it is empty")]
    Empty,
    /// It is longer than [`MAX_NAME_LENGTH`].
    #[error("it has {0} bytes, and {MAX_NAME_LENGTH} are allowed")]
    TooLong(usize),
    /// It begins with `/`.
    #[error("it is absolute")]
    Absolute,
    /// One of its parts is `..`, which would lead out of the folder.
    #[error("it has a part `..`")]
    Parent,
    /// One of its parts is empty or `.`.
    #[error("it has an empty part or a part `.`")]
    EmptyPart,
    /// It has a byte that is not allowed.
    #[error("it has the byte {0:#04x}, and only letters, digits and ._+/-@,= are allowed")]
    Byte(u8),
}

/// Whether `name` can name an entry: 1 to 255 bytes of ASCII letters, digits and
/// `._+/-@,=`, whose parts between slashes are neither empty nor `.` nor `..`.
///
/// # Errors
/// The first [`NameFlaw`] found.
pub fn check_name(name: &[u8]) -> Result<(), NameFlaw> {
    if name.is_empty() {
        return Err(NameFlaw::Empty);
    }
    if name.len() > MAX_NAME_LENGTH {
        return Err(NameFlaw::TooLong(name.len()));
    }
    if name.starts_with(b"/") {
        return Err(NameFlaw::Absolute);
    }
    if let Some(byte) = name.iter().find(|byte| !is_allowed(**byte)) {
        return Err(NameFlaw::Byte(*byte));
    }
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b".." => return Err(NameFlaw::Parent),
            b"" | b"." => return Err(NameFlaw::EmptyPart),
            _ => {}
        }
    }
    Ok(())
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._+/-@,=".contains(&byte)
}

/// The folders that a name leads through: `a` and `a/b` for `a/b/c`.
pub(super) fn folders(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').filter_map(|(at, _)| name.get(..at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_real_files_pass() {
        for name in [
            "kernel",
            "files/etc/a+b_1.0-2@x,y=z",
            "files/.config",
            "a/..b/c..",
        ] {
            assert_eq!(check_name(name.as_bytes()), Ok(()), "{name}");
        }
        assert_eq!(check_name(&[b'x'; MAX_NAME_LENGTH]), Ok(()));
    }

    #[test]
    fn others_are_refused() {
        let long = [b'x'; MAX_NAME_LENGTH + 1];
        let cases: [(&[u8], NameFlaw); 13] = [
            (b"", NameFlaw::Empty),
            (&long, NameFlaw::TooLong(256)),
            (b"/etc/passwd", NameFlaw::Absolute),
            (b"..", NameFlaw::Parent),
            (b"a/../b", NameFlaw::Parent),
            (b"a/..", NameFlaw::Parent),
            (b".", NameFlaw::EmptyPart),
            (b"a//b", NameFlaw::EmptyPart),
            (b"folder/", NameFlaw::EmptyPart),
            (b"a b", NameFlaw::Byte(b' ')),
            (b"a\\b", NameFlaw::Byte(b'\\')),
            (b"a\0", NameFlaw::Byte(0)),
            ("é".as_bytes(), NameFlaw::Byte(0xc3)),
        ];
        for (name, flaw) in cases {
            assert_eq!(check_name(name), Err(flaw), "{name:?}");
        }
    }

    #[test]
    fn folders_on_the_way() {
        assert_eq!(folders("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(folders("a").count(), 0);
    }
}
