//! The console: bytes of a guest's choosing, as lines that are safe to show.

/// The longest line that is passed on, in bytes; longer ones come in pieces. Far
/// beyond what kernels print (1024) and small enough to keep many of.
const MAX_LINE: usize = 4096;

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes and passes on every line that they complete.
    pub(super) fn feed(&mut self, bytes: &[u8], mut on_line: impl FnMut(String)) {
        for &byte in bytes {
            if byte != b'\n' {
                self.partial.push(byte);
                if self.partial.len() < MAX_LINE {
                    continue;
                }
            }
            on_line(clean(&self.partial));
            self.partial.clear();
        }
    }

    /// What has come of the line that is not complete yet: a prompt, for example.
    pub(super) fn partial(&self) -> Option<String> {
        (!self.partial.is_empty()).then(|| clean(&self.partial))
    }
}

/// The text in `bytes` without anything that a terminal would obey: escape sequences
/// (ECMA-48 §5.4) and control characters other than the tab.
fn clean(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\t' => clean.push(char),
            '\u{1b}' => match chars.next() {
                // A control sequence ends with a byte of 0x40 to 0x7e.
                Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                // A control string ends with BEL or ESC \.
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    while chars
                        .next_if(|c| !matches!(c, '\u{7}' | '\u{1b}'))
                        .is_some()
                    {}
                    chars.next_if_eq(&'\u{7}');
                }
                // Intermediate bytes of 0x20 to 0x2f precede the final one.
                Some(' '..='/') => while chars.next().is_some_and(|c| (' '..='/').contains(&c)) {},
                _ => {}
            },
            _ if char.is_control() => {}
            _ => clean.push(char),
        }
    }
    clean
}

/// Whether a line says that the kernel has given up.
pub(super) fn is_panic(line: &str) -> bool {
    line.contains("Kernel panic - not syncing")
}

/// Whether a line that is not complete is the prompt of GRUB, which asks what to do where
/// it could not do what it was told.
pub(super) fn is_grub_asking(line: &str) -> bool {
    line.trim() == "grub>"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> (Vec<String>, Option<String>) {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for piece in pieces {
            lines.feed(piece, |line| seen.push(line));
        }
        (seen, lines.partial())
    }

    #[test]
    fn lines_come_whole_however_they_arrive() {
        let (seen, rest) = lines(&[b"one\r\ntw", b"o\r\n", b"\n", b"login: "]);
        assert_eq!(seen, ["one", "two", ""]);
        assert_eq!(rest.as_deref(), Some("login: "));
    }

    #[test]
    fn a_flood_without_end_comes_in_pieces() {
        let (seen, rest) = lines(&[&[b'x'; 3 * MAX_LINE + 1]]);
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().all(|line| line.len() == MAX_LINE));
        assert_eq!(rest.as_deref(), Some("x"));
    }

    #[test]
    fn a_terminal_is_not_told_what_to_do() {
        for (bytes, expected) in [
            (&b"\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS"[..], "SeaBIOS"),
            (b"\x1b]0;title\x07text", "text"),
            (b"\x1b]0;title\x1b\\text", "text"),
            (b"\x1bP1$r\x1b\\text", "text"),
            (b"\x1b(Btext", "text"),
            (b"a\x08\x7f\x00b\tc", "ab\tc"),
            ("a\u{9b}2Jb".as_bytes(), "a2Jb"),
            (b"caf\xe9", "caf\u{fffd}"),
            (b"\x1b", ""),
            (b"\x1b[12;", ""),
        ] {
            assert_eq!(clean(bytes), expected, "{bytes:?}");
        }
    }
}
