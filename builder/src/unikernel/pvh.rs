//! PVH: Xen's entry for guests without firmware, which QEMU starts too. An ELF note
//! names it: `XEN_ELFNOTE_PHYS32_ENTRY` of Xen's `elfnote.h`.

use super::KernelFlaw;
use super::elf::Elf;

const OWNER: &[u8] = b"Xen\0";
/// `XEN_ELFNOTE_PHYS32_ENTRY`.
const PHYS32_ENTRY: u32 = 18;
const NOTE: &str = "`Xen` 18 (the PVH entry)";

/// A kernel that starts by PVH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Where it is entered, a physical address.
    pub entry: u32,
}

/// Finds the entry of `file`; `None` where it has none.
///
/// # Errors
/// [`KernelFlaw`] where it names one that is nowhere.
pub fn read(file: &[u8]) -> Result<Option<Image>, KernelFlaw> {
    let elf = match Elf::read(file) {
        Ok(elf) => elf,
        Err(KernelFlaw::NotElf) => return Ok(None),
        Err(flaw) => return Err(flaw),
    };
    let flaw = |problem: String| KernelFlaw::Note {
        note: NOTE,
        problem,
    };
    let mut notes = elf.notes(OWNER, PHYS32_ENTRY);
    let Some(content) = notes.next() else {
        return Ok(None);
    };
    if notes.next().is_some() {
        return Err(flaw("is there twice".to_owned()));
    }
    let entry = match (content.first_chunk(), content.first_chunk()) {
        (Some(bytes), _) if content.len() == 4 => Some(u32::from_le_bytes(*bytes)),
        (_, Some(bytes)) if content.len() == 8 => u64::from_le_bytes(*bytes).try_into().ok(),
        _ => None,
    };
    let entry: u32 = entry.ok_or_else(|| flaw("holds no address of 32 bits".to_owned()))?;
    if !elf.has_physical(entry.into()) {
        return Err(flaw(format!(
            "names the entry {entry:#x}, which is in nothing that it loads"
        )));
    }
    Ok(Some(Image { entry }))
}
