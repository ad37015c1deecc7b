//! Chooses between literals and copies.

use crate::matches::{Effort, Match, Matches};
use crate::split::Blocks;
use crate::symbols::{MIN_COPY, Token};

/// How much is looked for; and how much where a match is there already and only a better one
/// at the next byte is looked for.
const FIRST: Effort = Effort {
    depth: 8,
    enough: 64,
};
const NEXT: Effort = Effort { depth: 3, ..FIRST };
/// A match of this length is not compared with the next one.
const LAZY: usize = 12;
/// A copy of three bytes from further back costs more than three literals do.
const FAR: usize = 4096;
/// By how much the match at the next byte has to be better, as [`gain`] has it, because
/// it needs a literal before it.
const BETTER: i32 = 3;

/// Gives what `bytes` from `from` on are made of.
pub(crate) fn parse<'a>(
    bytes: &'a [u8],
    from: usize,
    matches: &mut Matches<'a>,
    blocks: &mut Blocks<'_>,
) {
    matches.go_on(bytes, from);
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        let mut found = matches.longest(at, MIN_COPY - 1, FIRST);
        if !worth(found) {
            at += 1;
            blocks.push(Token::literal(*byte), at);
            continue;
        }
        let mut entered = at + 1;
        // Lazily: a literal and what is found behind it may be better.
        while found.len < LAZY
            && let Some(byte) = bytes.get(at)
        {
            let next = matches.longest(at + 1, found.len - 1, NEXT);
            entered = at + 2;
            if gain(next) <= gain(found) + BETTER {
                break;
            }
            at += 1;
            blocks.push(Token::literal(*byte), at);
            found = next;
        }
        // A place is entered once, or its chain would end there.
        let end = at + found.len;
        blocks.push(Token::copy(found.len, found.distance), end);
        matches.pass(entered, end);
        at = end;
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
