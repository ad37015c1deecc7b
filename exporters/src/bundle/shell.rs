//! Words in a shell.

/// A word as a shell takes it for itself, whatever is in it. Plain ones stay as they are.
pub(super) fn quoted(word: &str) -> String {
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"-_.:=/,+@".contains(&it);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_where_a_shell_would_change_them() {
        assert_eq!(quoted("--ipv4=10.0.0.2/24"), "--ipv4=10.0.0.2/24");
        assert_eq!(quoted("a;b"), "'a;b'");
        assert_eq!(quoted("$(x)"), "'$(x)'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
