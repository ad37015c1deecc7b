//! Multiboot, version 2: the header of section 3.1 of its specification (2.0).

use super::KernelFlaw;
use super::elf::Elf;
use super::header::{Addresses, places, u16_at, u32_at};

/// What a header begins with.
const MAGIC: u32 = 0xe852_50d6;
/// A header lies wholly in the first bytes of a file.
const WITHIN: usize = 32768;
/// How long a header is before its tags.
const FIXED: usize = 16;
/// i386 in protected mode, the one architecture of ours.
const I386: u32 = 0;
/// The last tag.
const END: u16 = 0;
/// The tag that says where everything is loaded to, and the one where it is entered then.
const ADDRESSES: u16 = 2;
const ENTRY: u16 = 3;
/// The last kind of tag that there is, section 3.1.4 to 3.1.14.
const KNOWN: u16 = 10;
/// Of a tag's flags: a loader that does not know it may pass over it.
const OPTIONAL: u16 = 1;
/// For the address of loading: the file is loaded from its beginning, section 3.1.5.
const FROM_THE_BEGINNING: u32 = u32::MAX;

/// A kernel that starts by multiboot 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Where its header is in the file.
    pub header_at: u64,
}

/// Finds the header in `file`; `None` where it has none.
///
/// # Errors
/// [`KernelFlaw`] where it has one that no loader can follow.
pub fn read(file: &[u8]) -> Result<Option<Image>, KernelFlaw> {
    let mut headers = places(file, MAGIC, WITHIN, 8).filter(|at| adds_up(file, *at));
    headers.next().map(|at| image(file, at)).transpose()
}

/// What is wrong with something that looks like a header and is none; for when there is
/// nothing else.
#[must_use]
pub fn suspect(file: &[u8]) -> Option<KernelFlaw> {
    let at = places(file, MAGIC, WITHIN, 8).next()?;
    (!adds_up(file, at)).then(|| flaw(at, "has a wrong checksum"))
}

/// Whether magic, architecture, length and checksum add up to 0.
fn adds_up(file: &[u8], at: usize) -> bool {
    let sum = (at..at + FIXED)
        .step_by(4)
        .try_fold(0u32, |sum, at| Some(sum.wrapping_add(u32_at(file, at)?)));
    sum == Some(0)
}

fn image(file: &[u8], at: usize) -> Result<Image, KernelFlaw> {
    let field = |offset| u32_at(file, at + offset).unwrap_or_default();
    let (architecture, length) = (field(4), field(8));
    if architecture != I386 {
        let problem = format!("is for architecture {architecture}, expected 0");
        return Err(flaw(at, &problem));
    }
    check_tags(file, at, length as usize)?;
    Ok(Image {
        header_at: at as u64,
    })
}

/// Follows the tags up to the last one. Each has at least 8 bytes, so this ends.
fn check_tags(file: &[u8], at: usize, length: usize) -> Result<(), KernelFlaw> {
    let cut = || flaw(at, "is cut off");
    let header = at.checked_add(length).and_then(|end| file.get(at..end));
    let header = header.ok_or_else(cut)?;
    if at + length > WITHIN {
        return Err(flaw(at, "reaches beyond the first 32768 bytes"));
    }
    let (mut tag, mut part, mut entry) = (FIXED, None, None);
    loop {
        let kind = u16_at(header, tag).ok_or_else(cut)?;
        let flags = u16_at(header, tag + 2).ok_or_else(cut)?;
        let size = u32_at(header, tag + 4).ok_or_else(cut)? as usize;
        if size < 8 || size > header.len() - tag {
            return Err(flaw(at, &format!("has a tag of {size} bytes")));
        }
        let field = |index: usize| u32_at(header, tag + 8 + 4 * index).ok_or_else(cut);
        match kind {
            END => break,
            ADDRESSES => {
                let (header, load) = (field(0)?, field(1)?);
                let beginning = u32::try_from(at).ok().and_then(|at| header.checked_sub(at));
                let all = Addresses {
                    header,
                    load: match load {
                        FROM_THE_BEGINNING => beginning.unwrap_or(load),
                        load => load,
                    },
                    load_end: field(2)?,
                    bss_end: field(3)?,
                };
                let found = all.part(at as u64, file.len() as u64);
                part = Some(found.map_err(|problem| flaw(at, &problem))?);
            }
            ENTRY => entry = Some(field(0)?),
            kind if kind > KNOWN && flags & OPTIONAL == 0 => {
                let problem = format!("demands what no loader knows: a tag of type {kind}");
                return Err(flaw(at, &problem));
            }
            _ => {}
        }
        tag += size.next_multiple_of(8);
    }
    let is_there = match (part, entry) {
        (Some(part), Some(entry)) => part.has(entry),
        (Some(_), None) => {
            return Err(flaw(
                at,
                "says where it is loaded, and not where it is entered",
            ));
        }
        (None, entry) => {
            let elf = Elf::read(file)?;
            entry.is_none_or(|entry| elf.has_physical(entry.into()))
        }
    };
    if let Some(entry) = entry.filter(|_| !is_there) {
        let problem = format!("is entered at {entry:#x}, which is in nothing that it loads");
        return Err(flaw(at, &problem));
    }
    Ok(())
}

fn flaw(at: usize, problem: &str) -> KernelFlaw {
    KernelFlaw::Header {
        header: "multiboot 2",
        at: at as u64,
        problem: problem.to_owned(),
    }
}
