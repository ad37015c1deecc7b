//! Bytes as a hex dump.

use std::fmt;

use super::super::{Bytes, Side};

/// How many bytes a row has.
const ROW: u64 = 16;

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "first different byte at {0} ({0:#x})", self.offset)?;
        match self.extent {
            None => write!(f, ", {} bytes and {}", self.left.size, self.right.size),
            Some(extent) => {
                let plural = |count| if count == 1 { "" } else { "s" };
                write!(
                    f,
                    ", {} byte{} in {} place{}",
                    extent.bytes,
                    plural(extent.bytes),
                    extent.ranges,
                    plural(extent.ranges)
                )
            }
        }
    }
}

/// The rows around the first different byte, of one of the two: the one before it, its
/// own, and the one behind.
pub(super) struct Rows<'a>(pub(super) &'a Bytes, pub(super) Side);

impl fmt::Display for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes, side) = self;
        let window = match side {
            Side::Left => &bytes.left,
            Side::Right => &bytes.right,
        };
        let own = bytes.offset - bytes.offset % ROW;
        let end = window.start + window.bytes.len() as u64;
        let mut label = match side {
            Side::Left => "  left:  ",
            Side::Right => "  right: ",
        };
        for start in [own.checked_sub(ROW), Some(own), Some(own + ROW)] {
            let Some(start) = start.filter(|start| *start == own || *start < end) else {
                continue;
            };
            if !label.starts_with("  left") && !label.starts_with("  right") {
                writeln!(f)?;
            }
            write!(f, "{label}{start:08x} ")?;
            label = "         ";
            let mut text = String::new();
            for at in start..start + ROW {
                let mark = if at == bytes.offset { '>' } else { ' ' };
                match at
                    .checked_sub(window.start)
                    .and_then(|at| window.bytes.get(usize::try_from(at).ok()?))
                {
                    Some(byte) => {
                        write!(f, "{mark}{byte:02x}")?;
                        text.push(match byte {
                            0x20..0x7f => char::from(*byte),
                            _ => '.',
                        });
                    }
                    None if at == bytes.offset => write!(f, ">--")?,
                    None => write!(f, "   ")?,
                }
            }
            write!(f, "  {text}")?;
            if bytes.offset == end && start == own {
                write!(f, " (ends)")?;
            }
        }
        Ok(())
    }
}
