//! Deflate (RFC 1951), as gzip (RFC 1952), zlib (RFC 1950) and raw streams: the encoder
//! of everything that is compressed here.
//!
//! Compressed bytes are part of the identity of what holds them, and any other encoder
//! gives others: a new version of a library would move every digest there is. What comes
//! out of this one depends on the input and on nothing else: not on the processor, the
//! number of threads, how the input arrives in pieces, or a version of something else.
//! Decoding has one result only, and is left to libraries.
//!
//! ```text
//! piece ─► matches ─► parse ─► tokens ─► split ─► block ─► bits
//!          what was    which    literals   where     as which   into
//!          here before to take  and copies codes end kind       bytes
//! ```
//!
//! There is one level. It aims at being not larger than `gzip -9` in a tenth of its time:
//! hash chains of bounded length, lazy evaluation, blocks that end where the statistics
//! change, and no attempt at all to compress what is dense already.

#![forbid(unsafe_code)]

mod bits;
mod block;
mod dense;
mod encode;
mod gzip;
mod huffman;
mod matches;
mod parse;
#[cfg(test)]
mod samples;
mod split;
mod symbols;

pub use dense::is_dense;
pub use encode::{WINDOW, raw, zlib};
pub use gzip::GzipWriter;
