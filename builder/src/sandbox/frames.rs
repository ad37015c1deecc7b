//! What comes out of a container, as lines of text.
//!
//! ```text
//! L BASE64    a piece of the command's output
//! E JSON      how it ended; the last line
//! ```
//!
//! A line is short enough that no engine divides it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Most bytes of output in one line: 4096 as base64. (Engines divide at 16 KiB.)
pub(super) const PIECE: usize = 3072;
/// Most bytes of what is no frame that are kept.
const MAX_NOISE: usize = 4 << 10;
/// Longest line that is read. Only the last is longer than a piece; it names the
/// outputs.
const MAX_LINE: usize = 16 << 20;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    Output(Vec<u8>),
    End(String),
}

impl Frame {
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Output(bytes) => {
                to.extend_from_slice(b"L ");
                to.extend_from_slice(STANDARD.encode(bytes).as_bytes());
            }
            Self::End(json) => {
                to.extend_from_slice(b"E ");
                to.extend_from_slice(json.as_bytes());
            }
        }
        to.push(b'\n');
    }

    fn read(line: &[u8]) -> Option<Self> {
        match line.split_at_checked(2)? {
            (b"L ", text) => Some(Self::Output(STANDARD.decode(text).ok()?)),
            (b"E ", json) => Some(Self::End(String::from_utf8(json.to_vec()).ok()?)),
            _ => None,
        }
    }
}

/// Puts lines together from the pieces in which they come.
#[derive(Debug, Default)]
pub(super) struct Frames {
    line: Vec<u8>,
    noise: Vec<u8>,
}

impl Frames {
    /// What came that is no frame: the complaints of a linker, for example.
    pub(super) fn noise(&self) -> String {
        String::from_utf8_lossy(&self.noise).into_owned()
    }

    /// Takes a piece, and hands every frame that it completes to `sink`.
    ///
    /// # Errors
    /// Whatever `sink` returns.
    pub(super) fn take<E>(
        &mut self,
        piece: &[u8],
        mut sink: impl FnMut(Frame) -> Result<(), E>,
    ) -> Result<(), E> {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + part.len() <= MAX_LINE {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                match Frame::read(line.trim_ascii_end()) {
                    Some(frame) => sink(frame)?,
                    None if self.noise.len() < MAX_NOISE => {
                        self.noise.extend(line.iter().take(MAX_NOISE));
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_division() {
        let frames = [
            Frame::Output(b"one\n\0\xff".to_vec()),
            Frame::Output(vec![b'x'; PIECE]),
            Frame::End("{\"a\":1}".to_owned()),
        ];
        let mut text = b"ld.so: some warning\n".to_vec();
        for frame in &frames {
            frame.write(&mut text);
        }
        assert!(
            text.split(|byte| *byte == b'\n')
                .all(|line| line.len() <= 4098)
        );
        for size in [1, 7, 4096, text.len()] {
            let (mut read, mut found) = (Frames::default(), Vec::new());
            for piece in text.chunks(size) {
                let taken: Result<(), ()> = read.take(piece, |frame| {
                    found.push(frame);
                    Ok(())
                });
                taken.unwrap();
            }
            assert_eq!(found, frames, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_frame_is_passed_over() {
        for line in ["", "L", "L !!!", "X y", "E \u{fffd}"] {
            let text = format!("{line}\n");
            let mut found = Vec::new();
            let taken: Result<(), ()> = Frames::default().take(text.as_bytes(), |frame| {
                found.push(frame);
                Ok(())
            });
            taken.unwrap();
            assert!(
                found.iter().all(|frame| matches!(frame, Frame::End(_))),
                "{line}"
            );
        }
    }
}
