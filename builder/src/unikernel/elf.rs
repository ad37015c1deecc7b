//! What is read of an ELF file: where it is loaded to, and its notes.

use object::Endianness;
use object::elf::{
    EM_386, EM_X86_64, ET_DYN, ET_EXEC, FileHeader32, FileHeader64, PT_LOAD, PT_NOTE,
};
use object::read::elf::{FileHeader, ProgramHeader as _};

use super::KernelFlaw;

/// The most program headers: linkers make a dozen.
const MOST_SEGMENTS: usize = 128;
/// The most notes: linkers and authors together make a dozen.
const MOST_NOTES: usize = 128;

/// What is read of an ELF file.
#[derive(Debug, Default)]
pub(super) struct Elf<'a> {
    /// Whether it has 64 bits and not 32.
    pub(super) wide: bool,
    /// Where it is entered.
    pub(super) entry: u64,
    /// What is put into the memory, by physical addresses.
    pub(super) loads: Vec<Load>,
    /// Its notes, in the order of its program headers.
    pub(super) notes: Vec<Note<'a>>,
}

/// A part that is put into the memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Where to.
    physical: u64,
    /// Where it believes to be.
    virtual_: u64,
    /// How much memory it takes, in bytes.
    size: u64,
}

/// A note.
#[derive(Debug, Clone, Copy)]
pub(super) struct Note<'a> {
    /// Whose it is, its terminating zero included.
    pub(super) owner: &'a [u8],
    pub(super) kind: u32,
    pub(super) content: &'a [u8],
}

impl<'a> Elf<'a> {
    /// Reads the headers of `file` and checks that all that they name is in it.
    pub(super) fn read(file: &'a [u8]) -> Result<Self, KernelFlaw> {
        const CLASS: usize = 4;
        if !file.starts_with(b"\x7fELF") {
            return Err(KernelFlaw::NotElf);
        }
        match file.get(CLASS) {
            Some(1) => Self::of::<FileHeader32<Endianness>>(file),
            Some(2) => Self::of::<FileHeader64<Endianness>>(file),
            _ => Err(KernelFlaw::Elf("it has neither 32 nor 64 bits".to_owned())),
        }
    }

    /// The notes of that owner and kind.
    pub(super) fn notes<'s>(
        &'s self,
        owner: &'s [u8],
        kind: u32,
    ) -> impl Iterator<Item = &'a [u8]> + 's {
        let wanted = self.notes.iter();
        wanted
            .filter(move |note| note.owner == owner && note.kind == kind)
            .map(|note| note.content)
    }

    /// Whether something is loaded to this physical address.
    pub(super) fn has_physical(&self, address: u64) -> bool {
        let holds = |load: &Load| {
            address
                .checked_sub(load.physical)
                .is_some_and(|at| at < load.size)
        };
        self.loads.iter().any(holds)
    }

    /// Whether something believes to be at this virtual address.
    fn has_virtual(&self, address: u64) -> bool {
        let holds = |load: &Load| {
            address
                .checked_sub(load.virtual_)
                .is_some_and(|at| at < load.size)
        };
        self.loads.iter().any(holds)
    }

    fn of<H: FileHeader<Endian = Endianness>>(file: &'a [u8]) -> Result<Self, KernelFlaw> {
        let damaged = |error: object::read::Error| KernelFlaw::Elf(error.to_string());
        let header = H::parse(file).map_err(damaged)?;
        let endian = header.endian().map_err(damaged)?;
        if endian != Endianness::Little || !matches!(header.e_machine(endian), EM_386 | EM_X86_64) {
            return Err(KernelFlaw::Kind {
                actual: "for another processor".to_owned(),
                expected: "one for x86",
            });
        }
        if !matches!(header.e_type(endian), ET_EXEC | ET_DYN) {
            return Err(KernelFlaw::Kind {
                actual: "that is not linked, or a core".to_owned(),
                expected: "an executable",
            });
        }
        let segments = header.program_headers(endian, file).map_err(damaged)?;
        if segments.len() > MOST_SEGMENTS {
            let count = segments.len();
            return Err(KernelFlaw::Elf(format!("it has {count} program headers")));
        }
        let mut elf = Self {
            wide: header.is_type_64(),
            entry: header.e_entry(endian).into(),
            ..Self::default()
        };
        for (index, segment) in segments.iter().enumerate() {
            let flaw = |what: &str| KernelFlaw::Elf(format!("program header {index} {what}"));
            let kind = segment.p_type(endian);
            if kind == PT_LOAD {
                let load = Load {
                    physical: segment.p_paddr(endian).into(),
                    virtual_: segment.p_vaddr(endian).into(),
                    size: segment.p_memsz(endian).into(),
                };
                segment
                    .data(endian, file)
                    .map_err(|()| flaw("reaches beyond the end of the file"))?;
                if segment.p_filesz(endian).into() > load.size {
                    return Err(flaw("has more content than it takes of the memory"));
                }
                let ends = [load.physical, load.virtual_];
                if ends.iter().any(|at| at.checked_add(load.size).is_none()) {
                    return Err(flaw("reaches beyond the end of the memory"));
                }
                elf.loads.push(load);
            }
            if kind == PT_NOTE {
                let notes = segment.notes(endian, file);
                let mut notes = notes.map_err(damaged)?.into_iter().flatten();
                while let Some(note) = notes.next() {
                    let note = note.map_err(damaged)?;
                    if elf.notes.len() == MOST_NOTES {
                        return Err(KernelFlaw::Elf("it has too many notes".to_owned()));
                    }
                    elf.notes.push(Note {
                        owner: note.name_bytes(),
                        kind: note.n_type(endian).0,
                        content: note.desc(),
                    });
                }
            }
        }
        if elf.loads.iter().all(|load| load.size == 0) {
            return Err(KernelFlaw::Elf("it loads nothing".to_owned()));
        }
        if !elf.has_virtual(elf.entry) && !elf.has_physical(elf.entry) {
            let entry = elf.entry;
            let what = format!("its entry {entry:#x} is in nothing that it loads");
            return Err(KernelFlaw::Elf(what));
        }
        Ok(elf)
    }
}
