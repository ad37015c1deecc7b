//! The last line of what a command prints, fit for a terminal.

/// The longest beginning of a line that is kept, in bytes; no terminal is wider.
const LONGEST: usize = 1000;

/// Takes a command's output in pieces, and knows its last line that says anything.
#[derive(Debug, Default)]
pub(super) struct LastLine {
    whole: Vec<u8>,
    begun: Vec<u8>,
}

impl LastLine {
    /// Takes a piece, and says whether the last line has changed.
    pub(super) fn take(&mut self, piece: &[u8]) -> bool {
        let mut changed = false;
        for line in piece.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (text, ends) = match line.split_last() {
                Some((b'\n' | b'\r', text)) => (text, true),
                _ => (line, false),
            };
            let room = LONGEST.saturating_sub(self.begun.len());
            self.begun
                .extend_from_slice(text.get(..room).unwrap_or(text));
            if ends {
                let line = std::mem::take(&mut self.begun);
                if !line.trim_ascii().is_empty() {
                    changed |= line != self.whole;
                    self.whole = line;
                }
            }
        }
        changed
    }

    /// The last whole line, without what would move the cursor or paint.
    pub(super) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.whole);
        let mut plain = String::with_capacity(text.len());
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            match letter {
                // An escape sequence (ECMA-48, 5.4) ends with a letter or one of `@` to `~`.
                '\u{1b}' => {
                    if letters.next() == Some('[') {
                        let _ = letters.find(|letter| ('@'..='~').contains(letter));
                    }
                }
                '\t' => plain.push(' '),
                letter if letter.is_control() => {}
                letter => plain.push(letter),
            }
        }
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::LastLine;

    #[test]
    fn the_last_whole_line_that_says_anything() {
        let mut last = LastLine::default();
        assert!(!last.take(b"comp"));
        assert!(last.take(b"iling a\ncompiling b"));
        assert_eq!(last.text(), "compiling a");
        assert!(last.take(b"\r\n\n"));
        assert_eq!(last.text(), "compiling b");
    }

    #[test]
    fn nothing_moves_the_cursor() {
        let mut last = LastLine::default();
        last.take(b"\x1b[31mred\x1b[0m\x1b[2K\x07 and\ttab \xff\n");
        assert_eq!(last.text(), "red and tab \u{fffd}");
        let mut long = LastLine::default();
        for _ in 0..10_000 {
            long.take(b"no end ");
        }
        long.take(b"\n");
        assert_eq!(long.text().len(), super::LONGEST);
    }
}
