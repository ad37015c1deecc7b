//! LZ4 in the older of its two formats, which kernels are packed in (LZ4's
//! *Frame Format Description*, "Legacy frame", and *Block Format Description*).

use std::io::{self, Read};

/// What such a file begins with.
pub(super) const MAGIC: [u8; 4] = 0x184C_2102_u32.to_le_bytes();
/// The size of a block when it is unpacked, in bytes; the last one may be smaller.
const BLOCK: usize = 8 << 20;
/// The most that a block can be packed to, in bytes: a little more than it was.
const MOST_PACKED: usize = BLOCK + BLOCK / 255 + 16;

/// Unpacks what `inner` holds, a block at a time.
pub(super) struct Legacy<R> {
    inner: R,
    block: Vec<u8>,
    /// How much of the block was read.
    at: usize,
}

impl<R: Read> Legacy<R> {
    /// Begins where the magic number is.
    pub(super) fn new(mut inner: R) -> io::Result<Self> {
        let mut magic = [0; 4];
        inner.read_exact(&mut magic)?;
        if magic != MAGIC {
            return Err(damaged("it does not begin as LZ4 does"));
        }
        Ok(Self {
            inner,
            block: Vec::new(),
            at: 0,
        })
    }

    /// Unpacks the next block; none where the file ends.
    fn next_block(&mut self) -> io::Result<bool> {
        let mut size = Vec::with_capacity(4);
        self.inner.by_ref().take(4).read_to_end(&mut size)?;
        if size.is_empty() {
            return Ok(false);
        }
        let size = size.first_chunk().copied().map(u32::from_le_bytes);
        let size = size.ok_or(io::ErrorKind::UnexpectedEof)? as usize;
        if size > MOST_PACKED {
            return Err(damaged("a block is larger than any can be"));
        }
        let mut packed = vec![0; size];
        self.inner.read_exact(&mut packed)?;
        self.block.clear();
        self.at = 0;
        unpack(&packed, &mut self.block).ok_or_else(|| damaged("a block does not unpack"))?;
        Ok(true)
    }
}

impl<R: Read> Read for Legacy<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let rest = self.block.get(self.at..).unwrap_or_default();
            if !rest.is_empty() || buffer.is_empty() {
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                self.at += count;
                return Ok(count);
            }
            if !self.next_block()? {
                return Ok(0);
            }
        }
    }
}

fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Unpacks one block behind what is in `out`; `None` where it is damaged, or too large.
fn unpack(packed: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut input = packed;
    loop {
        let token = usize::from(byte(&mut input)?);
        let literals = length(token >> 4, &mut input)?;
        let (run, rest) = input.split_at_checked(literals)?;
        room(out, literals)?;
        out.extend_from_slice(run);
        input = rest;
        // The last sequence has literals alone.
        if input.is_empty() {
            return Some(());
        }
        let (offset, rest) = input.split_first_chunk()?;
        input = rest;
        let offset = usize::from(u16::from_le_bytes(*offset));
        let mut left = length(token & 15, &mut input)?.checked_add(4)?;
        room(out, left)?;
        let from = out.len().checked_sub(offset)?;
        // What is copied may reach into what the copy makes: then it repeats itself.
        while left > 0 {
            let count = left.min(out.len() - from);
            if count == 0 {
                return None;
            }
            out.extend_from_within(from..from + count);
            left -= count;
        }
    }
}

/// A length whose first four bits are `begun`; 15 says that more follows.
fn length(begun: usize, input: &mut &[u8]) -> Option<usize> {
    let mut length = begun;
    let mut more = begun == 15;
    while more {
        let next = byte(input)?;
        length = length.checked_add(next.into())?;
        more = next == 255;
    }
    Some(length)
}

fn byte(input: &mut &[u8]) -> Option<u8> {
    let (first, rest) = input.split_first()?;
    *input = rest;
    Some(*first)
}

/// Whether that much more fits into a block.
fn room(out: &[u8], more: usize) -> Option<()> {
    (more <= BLOCK - out.len()).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(packed: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        unpack(packed, &mut out).map(|()| out)
    }

    #[test]
    fn sequences_are_as_the_description_says() {
        // Five literals and nothing else.
        assert_eq!(block(b"\x50hello").unwrap(), b"hello");
        // One literal, then nine bytes from one byte back, then one literal.
        assert_eq!(block(b"\x15a\x01\0\x10b").unwrap(), b"aaaaaaaaaab");
        // Lengths that go on: 15 + 255 + 2 literals.
        let mut long = b"\xf0\xff\x02".to_vec();
        long.extend([7; 272]);
        assert_eq!(block(&long).unwrap(), [7; 272]);
        // A pattern of two bytes that is repeated beyond itself.
        assert_eq!(
            block(b"\x23ab\x02\0\x10c").unwrap(),
            b"ababababac".map(|it| it)
        );
    }

    #[test]
    fn damage_is_noticed_and_takes_no_memory() {
        for damaged in [
            &b""[..],
            b"\x50hell",
            b"\x15a\x00\0\x10b",
            b"\x15a\x02\0\x10b",
            b"\x15a\x01",
            b"\xf0\xff",
        ] {
            assert_eq!(block(damaged), None, "{damaged:x?}");
        }
        // One literal, and then 255 times as many as there are bytes.
        let mut bomb = b"\x1fa\x01\0".to_vec();
        bomb.resize(200_000, 0xff);
        bomb.extend(b"\0\x10b");
        assert_eq!(block(&bomb), None);

        let file = |blocks: &[u8]| -> io::Result<Vec<u8>> {
            let mut bytes = MAGIC.to_vec();
            bytes.extend_from_slice(blocks);
            let mut out = Vec::new();
            Legacy::new(&*bytes)?.read_to_end(&mut out)?;
            Ok(out)
        };
        assert_eq!(
            file(b"\x06\0\0\0\x50hello\x02\0\0\0\x10!").unwrap(),
            b"hello!"
        );
        assert!(file(b"\x06\0\0\0\x50hell").is_err());
        assert!(file(b"\xff\xff\xff\x7f\x50hello").is_err());
        assert!(file(b"\x06\0").is_err());
        assert!(Legacy::new(&b"\x04\x22\x4d\x18"[..]).is_err());
    }
}
