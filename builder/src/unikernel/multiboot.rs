//! Multiboot, version 1: the header of section 3.1 of its specification (0.6.96).

use super::KernelFlaw;
use super::elf::Elf;
use super::header::{Addresses, Part, places, u32_at};

/// What a header begins with.
const MAGIC: u32 = 0x1bad_b002;
/// A header lies wholly in the first bytes of a file.
const WITHIN: usize = 8192;
/// Flags that a loader must understand or refuse, section 3.1.2.
const DEMANDS: u32 = 0xffff;
/// Those that there are: whole pages for modules, memory, video.
const KNOWN: u32 = 0b111;
/// The header says where everything is loaded to.
const HAS_ADDRESSES: u32 = 1 << 16;

/// A kernel that starts by multiboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Where its header is in the file.
    pub header_at: u64,
    /// How large the file has to be for its header to be true, in bytes.
    pub size: u64,
    /// How many bytes of that it lacks. They are zeros: see `docs/format.md`, section 9.
    pub missing: u64,
}

impl Image {
    /// What whoever builds or boots it should know.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        if self.missing == 0 {
            return Vec::new();
        }
        vec![format!(
            "the kernel's multiboot header says that it has {} bytes more than it has; `luni run` takes them as zeros",
            self.missing
        )]
    }
}

/// Finds the header in `file`; `None` where it has none.
///
/// # Errors
/// [`KernelFlaw`] where it has one that no loader can follow.
pub fn read(file: &[u8]) -> Result<Option<Image>, KernelFlaw> {
    let mut headers = places(file, MAGIC, WITHIN, 4).filter(|at| adds_up(file, *at));
    headers.next().map(|at| image(file, at)).transpose()
}

/// What is wrong with something that looks like a header and is none. The magic alone
/// may be anything, a part of a boot loader for example; so this is for when there is
/// nothing else.
#[must_use]
pub fn suspect(file: &[u8]) -> Option<KernelFlaw> {
    let at = places(file, MAGIC, WITHIN, 4).next()?;
    (!adds_up(file, at)).then(|| flaw(at, "has a wrong checksum"))
}

/// Whether magic, flags and checksum add up to 0.
fn adds_up(file: &[u8], at: usize) -> bool {
    let fields = u32_at(file, at + 4).zip(u32_at(file, at + 8));
    fields.is_some_and(|(flags, sum)| MAGIC.wrapping_add(flags).wrapping_add(sum) == 0)
}

fn image(file: &[u8], at: usize) -> Result<Image, KernelFlaw> {
    let flags = u32_at(file, at + 4).unwrap_or_default();
    let unknown = flags & DEMANDS & !KNOWN;
    if unknown != 0 {
        return Err(flaw(
            at,
            &format!("demands what no loader knows: flags {unknown:#x}"),
        ));
    }
    let (header_at, size) = (at as u64, file.len() as u64);
    if flags & HAS_ADDRESSES == 0 {
        if at + 12 > WITHIN {
            return Err(flaw(at, "reaches beyond the first 8192 bytes"));
        }
        let elf = Elf::read(file)?;
        if elf.wide {
            return Err(KernelFlaw::Wide);
        }
        return Ok(Image {
            header_at,
            size,
            missing: 0,
        });
    }
    let field = |index: usize| u32_at(file, at + 4 * index);
    let (Some(header), Some(load), Some(load_end), Some(bss_end), Some(entry)) =
        (field(3), field(4), field(5), field(6), field(7))
    else {
        return Err(flaw(at, "is cut off"));
    };
    if at + 32 > WITHIN {
        return Err(flaw(at, "reaches beyond the first 8192 bytes"));
    }
    let addresses = Addresses {
        header,
        load,
        load_end,
        bss_end,
    };
    let part = addresses.part(header_at, size);
    let part: Part = part.map_err(|problem| flaw(at, &problem))?;
    if !part.has(entry) {
        let problem = format!("is entered at {entry:#x}, which is in nothing that it loads");
        return Err(flaw(at, &problem));
    }
    Ok(Image {
        header_at,
        size: part.end.max(size),
        missing: part.end.saturating_sub(size),
    })
}

fn flaw(at: usize, problem: &str) -> KernelFlaw {
    KernelFlaw::Header {
        header: "multiboot",
        at: at as u64,
        problem: problem.to_owned(),
    }
}
