//! What is said of content that has no parts: a line of text or a byte, and whether it
//! is the same in another order.

use std::io;

use lunikernel_cache::Sha256;

use super::bytes::{Bytes, fill};
use super::content::Content;
use super::{Found, Units};

/// The largest content that is looked through for the same units in another order.
const MAX_LOOKED: u64 = 32 << 20;
/// A longer unit is none: no text has such lines.
const MAX_UNIT: usize = 1 << 20;
/// As many bytes of a line are shown before the first different one.
const BEFORE: usize = 60;
/// And as many from it on.
const FROM: usize = 100;
const CHUNK: usize = 64 << 10;
/// As much is looked at to tell whether something is text.
const HEAD: usize = 4096;

/// What differs between two contents that have no parts.
pub(super) fn found(left: &Content, right: &Content, bytes: Bytes) -> io::Result<Found> {
    let windows = [&bytes.left.bytes, &bytes.right.bytes];
    let is_text = windows.into_iter().all(|part| is_text(part))
        && is_text(&left.bytes(0, HEAD)?)
        && is_text(&right.bytes(0, HEAD)?);
    if !is_text {
        let reordered = reordered(left, right, &[Units::Strings])?;
        return Ok(Found::Content {
            bytes,
            reordered,
            whole: None,
        });
    }
    let reordered = reordered(left, right, &[Units::Lines, Units::Words])?;
    let number = 1 + newlines(left, bytes.offset)?;
    let (mut one, mut two) = (line(left, bytes.offset)?, line(right, bytes.offset)?);
    if one.shown() == two.shown() {
        // Then it is the newline that only one of them has.
        one.add_end();
        two.add_end();
    }
    Ok(Found::Line {
        number,
        left: one.shown(),
        right: two.shown(),
        reordered,
        bytes,
    })
}

fn is_text(bytes: &[u8]) -> bool {
    let is_control = |byte: &u8| matches!(byte, 0..=6 | 14..=26 | 28..=31 | 127);
    !bytes.iter().any(is_control)
}

/// How many newlines are in the first `count` bytes.
fn newlines(content: &Content, count: u64) -> io::Result<u64> {
    let mut reader = io::Read::take(content.reader(), count);
    let (mut chunk, mut newlines) = (Vec::new(), 0);
    loop {
        fill(&mut reader, &mut chunk, CHUNK)?;
        if chunk.is_empty() {
            return Ok(newlines);
        }
        newlines += chunk.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
}

/// A line, or a part of it.
struct Line {
    text: Option<String>,
    has_end: bool,
}

impl Line {
    fn shown(&self) -> Option<String> {
        self.text.clone()
    }

    fn add_end(&mut self) {
        if self.has_end
            && let Some(text) = &mut self.text
        {
            text.push('\n');
        }
    }
}

/// The line around a place.
fn line(content: &Content, at: u64) -> io::Result<Line> {
    let start = at.saturating_sub(BEFORE as u64);
    let around = content.bytes(start, BEFORE + FROM + 1)?;
    let place = usize::try_from(at - start).unwrap_or_default();
    let (before, from) = around.split_at(place.min(around.len()));
    let newline = |byte: &u8| *byte == b'\n';
    let (begun, before) = match before.iter().rposition(newline) {
        Some(newline) => (true, before.get(newline + 1..).unwrap_or_default()),
        None => (start == 0, before),
    };
    let end = from.iter().position(newline);
    let is_whole = end.is_some() || from.len() <= FROM;
    let rest = from.get(..end.unwrap_or(from.len().min(FROM)));
    let bytes = [before, rest.unwrap_or_default()].concat();
    if bytes.is_empty() && end.is_none() {
        let has_end = false;
        return Ok(Line {
            text: None,
            has_end,
        });
    }
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if !begun {
        text.insert(0, '…');
    }
    if !is_whole {
        text.push('…');
    }
    Ok(Line {
        text: Some(text),
        has_end: end.is_some(),
    })
}

/// The first of some units of which both have the same, in another order.
pub(super) fn reordered(
    left: &Content,
    right: &Content,
    units: &[Units],
) -> io::Result<Option<Units>> {
    if left.size() != right.size() || left.size() > MAX_LOOKED {
        return Ok(None);
    }
    for units in units {
        let (one, two) = (sum(left, *units)?, sum(right, *units)?);
        if one.is_some() && one == two {
            return Ok(Some(*units));
        }
    }
    Ok(None)
}

/// The sum of the digests of all units, and how many they are: it does not depend on
/// their order, and takes no memory. `None` where there are none to be ordered.
fn sum(content: &Content, units: Units) -> io::Result<Option<(u128, u64)>> {
    let ends = |byte: &u8| match units {
        Units::Lines | Units::Members => *byte == b'\n',
        Units::Strings => *byte == 0,
        Units::Words => byte.is_ascii_whitespace() || b",;()[]{}".contains(byte),
    };
    let (mut reader, mut chunk) = (content.reader(), Vec::new());
    let (mut total, mut count) = (0u128, 0u64);
    let mut add = |unit: &[u8]| {
        if !unit.is_empty() {
            let digest = Sha256::of(unit);
            let (half, _) = digest
                .as_bytes()
                .split_first_chunk()
                .unwrap_or((&[0; 16], &[]));
            total = total.wrapping_add(u128::from_le_bytes(*half));
            count += 1;
        }
    };
    let mut unit = Vec::new();
    loop {
        fill(&mut reader, &mut chunk, CHUNK)?;
        if chunk.is_empty() {
            break;
        }
        let mut parts = chunk.split(ends);
        if let Some(first) = parts.next() {
            unit.extend_from_slice(first);
        }
        for part in parts {
            add(&unit);
            unit.clear();
            unit.extend_from_slice(part);
        }
        if unit.len() > MAX_UNIT {
            return Ok(None);
        }
    }
    add(&unit);
    Ok((count > 1).then_some((total, count)))
}
