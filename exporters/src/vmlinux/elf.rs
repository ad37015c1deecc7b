//! What monitors read of an ELF file before they load it.

use std::io;

use crate::content::Content;

/// What such a file begins with.
pub(super) const MAGIC: [u8; 4] = *b"\x7fELF";
/// The size of the header, and of a program header, in bytes: those of 64 bits.
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
/// The most program headers: linkers make a dozen.
const MOST_SEGMENTS: usize = 128;
/// The most notes, in bytes: kernels have some hundred.
const MOST_NOTES: u64 = 1 << 20;
const LITTLE_ENDIAN: u8 = 1;
const BITS_64: u8 = 2;
const X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
/// `XEN_ELFNOTE_PHYS32_ENTRY` of Xen's `elfnote.h`: where PVH enters a kernel.
const PHYS32_ENTRY: u32 = 18;

/// Why something cannot be loaded.
#[derive(Debug)]
pub(super) enum Flaw {
    /// What is wrong, as part of a sentence.
    Elf(&'static str),
    /// It could not be read.
    Read(io::Error),
}

impl From<io::Error> for Flaw {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// Checks that `file` can be loaded, and tells whether it has an entry for PVH.
pub(super) fn check(file: &Content) -> Result<bool, Flaw> {
    let mut header = [0; HEADER];
    if file.len() < HEADER as u64 {
        return Err(Flaw::Elf("it ends in its header"));
    }
    file.read_exact_at(&mut header, 0)?;
    if !header.starts_with(&MAGIC) || header[4..6] != [BITS_64, LITTLE_ENDIAN] {
        return Err(Flaw::Elf("it is no ELF file of 64 bits"));
    }
    if u16_at(&header, 18) != X86_64 {
        return Err(Flaw::Elf("it is for another processor"));
    }
    let count = usize::from(u16_at(&header, 56));
    if usize::from(u16_at(&header, 54)) != PROGRAM_HEADER || count > MOST_SEGMENTS {
        return Err(Flaw::Elf(
            "its program headers are of no kind that is known",
        ));
    }
    let at = u64_at(&header, 32);
    let mut segments = vec![0; count * PROGRAM_HEADER];
    inside(file, at, segments.len() as u64)?;
    file.read_exact_at(&mut segments, at)?;
    let (mut loaded, mut pvh) = (false, false);
    for segment in segments.chunks_exact(PROGRAM_HEADER) {
        let (at, size) = (u64_at(segment, 8), u64_at(segment, 32));
        match u32_at(segment, 0) {
            PT_LOAD => {
                inside(file, at, size)?;
                loaded = true;
            }
            PT_NOTE => {
                inside(file, at, size)?;
                if size > MOST_NOTES {
                    return Err(Flaw::Elf("it has too many notes"));
                }
                let mut notes = vec![0; size as usize];
                file.read_exact_at(&mut notes, at)?;
                pvh |= has_entry(&notes, u64_at(segment, 48));
            }
            _ => {}
        }
    }
    match loaded {
        true => Ok(pvh),
        false => Err(Flaw::Elf("nothing of it is loaded")),
    }
}

fn inside(file: &Content, at: u64, size: u64) -> Result<(), Flaw> {
    match at.checked_add(size).is_some_and(|end| end <= file.len()) {
        true => Ok(()),
        false => Err(Flaw::Elf("a part of it is beyond its end")),
    }
}

/// Whether one of `notes` names the entry for PVH.
fn has_entry(mut notes: &[u8], align: u64) -> bool {
    let align = if align == 8 { 8 } else { 4 };
    while let Some((head, rest)) = notes.split_first_chunk::<12>() {
        let (owner, content) = (u32_at(head, 0) as usize, u32_at(head, 4) as usize);
        if rest.get(..owner) == Some(b"Xen\0") && u32_at(head, 8) == PHYS32_ENTRY {
            return true;
        }
        let padded = |size: usize| size.checked_next_multiple_of(align);
        let next = padded(owner).zip(padded(content));
        let next = next.and_then(|(owner, content)| owner.checked_add(content));
        match next.and_then(|next| rest.get(next..)) {
            Some(rest) => notes = rest,
            None => return false,
        }
    }
    false
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(chunk(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(chunk(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(chunk(bytes, at))
}

/// The bytes at `at`; zeros where there are none.
fn chunk<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk);
    found.copied().unwrap_or([0; N])
}
