//! Chooses between literals and copies.

use crate::matches::{Match, Matches};
use crate::split::Blocks;
use crate::symbols::{MIN_COPY, Token};

/// How many places are looked at, at most; and how many where a match is there already and
/// only a better one at the next byte is looked for.
const DEPTH: u32 = 14;
const DEPTH_NEXT: u32 = 6;
/// A match of this length is taken without looking further.
const ENOUGH: usize = 64;
/// A match of this length is not compared with the next one.
const LAZY: usize = 16;
/// A copy of three bytes from further back costs more than three literals do.
const FAR: usize = 4096;
/// By how much the match at the next byte has to be better, as [`gain`] has it, because
/// it needs a literal before it.
const BETTER: i32 = 3;

/// Gives what `bytes` from `from` to `to` are made of.
pub(crate) fn parse(
    bytes: &[u8],
    matches: &mut Matches<'_>,
    from: usize,
    to: usize,
    blocks: &mut Blocks<'_>,
) {
    let left = bytes.get(..to).unwrap_or(bytes);
    let mut at = from;
    while let Some(byte) = left.get(at) {
        let mut found = matches.longest(at, MIN_COPY - 1, DEPTH, ENOUGH);
        let mut entered = at + 1;
        // Lazily: a literal and what is found behind it may be better.
        while worth(found)
            && found.len < LAZY
            && let (Some(byte), Some(_)) = (left.get(at), left.get(at + 1))
        {
            let next = matches.longest(at + 1, found.len - 1, DEPTH_NEXT, ENOUGH);
            entered = at + 2;
            if gain(next) <= gain(found) + BETTER {
                break;
            }
            blocks.push(Token::literal(*byte), at + 1);
            found = next;
            at += 1;
        }
        // What is alike may go on behind the end of what is asked for.
        found.len = found.len.min(left.len() - at);
        if worth(found) {
            blocks.push(Token::copy(found.len, found.distance), at + found.len);
            matches.pass(entered, at + found.len);
            at += found.len;
        } else {
            let byte = left.get(at).unwrap_or(byte);
            blocks.push(Token::literal(*byte), at + 1);
            // A place is entered once, or its chain would end there.
            matches.pass(entered, at + 1);
            at += 1;
        }
    }
}

/// Whether copying is cheaper than writing the bytes.
#[inline]
fn worth(found: Match) -> bool {
    found.len > MIN_COPY || found.len == MIN_COPY && found.distance <= FAR
}

/// What a match saves, in about a quarter of a byte.
#[inline]
fn gain(found: Match) -> i32 {
    4 * found.len as i32 - found.distance.max(1).ilog2() as i32
}
