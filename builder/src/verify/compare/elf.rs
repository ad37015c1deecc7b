//! ELF files: sections, and the symbols in them.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use object::read::{ReadCache, ReadRef};
use object::{Object, ObjectSection, ObjectSymbol as _, SectionIndex, SectionKind, SymbolKind};

use super::bytes::Bytes;
use super::content::{Content, Reader, difference};
use super::walk::{Flaw, Walk};
use super::{Format, Found, Place, Role, Section, Side, Symbol, Units, Whole, text};

/// How much of one file's tables is kept in memory, in bytes: a kernel with all its
/// symbols has 16 MB of them.
const MAX_TABLES: u64 = 24 << 20;
/// How many sections of one file are told; the rest mostly follows from them.
const MAX_TOLD: usize = 4;
/// Sections may overlap, but all together not be larger than so many times the file.
const MAX_OVERLAP: u64 = 4;

/// Notes the sections that differ, those that explain others first.
pub(super) fn compare(walk: &mut Walk, left: &Content, right: &Content) -> Result<(), Flaw> {
    let (one, two) = (Tables::new(left), Tables::new(right));
    let one = one.parse(Side::Left)?;
    let two = two.parse(Side::Right)?;
    let mut differing = sections(&one, left, &two, right)?;
    differing.sort_by_key(|it| (it.rank(), it.position));
    if differing.is_empty() {
        headers(walk, &one, &two);
    }
    let more = differing.len().saturating_sub(MAX_TOLD);
    differing.truncate(MAX_TOLD);
    for it in differing {
        let address = it.address.zip(it.bytes.as_ref());
        let address = address.map(|(start, bytes)| start.saturating_add(bytes.offset));
        let symbol = match (&it.bytes, it.index) {
            (Some(bytes), Some(index)) => {
                symbol(&one, index, it.start.saturating_add(bytes.offset))
            }
            _ => None,
        };
        let section = Section {
            name: it.name,
            role: it.role,
            offset: it.offset,
            address,
            symbol,
        };
        let found = match (it.bytes, it.only_in) {
            (_, Some(only_in)) => Found::Presence { only_in },
            (Some(bytes), None) => Found::Content {
                bytes,
                reordered: it.reordered,
                whole: None,
            },
            (None, None) => continue,
        };
        walk.within(Place::Section(section), |walk| walk.note(found));
    }
    walk.leave_out(more as u64);
    Ok(())
}

/// A file's tables, which are read where they are needed, and kept.
struct Tables {
    cache: ReadCache<Reader>,
    left: Cell<u64>,
}

impl Tables {
    fn new(content: &Content) -> Self {
        Self {
            cache: ReadCache::new(content.reader()),
            left: Cell::new(MAX_TABLES),
        }
    }

    fn parse(&self, side: Side) -> Result<File<'_>, Flaw> {
        object::File::parse(Bounded(self)).map_err(|error| {
            let why = match self.left.get() {
                0 => format!("its tables are larger than {MAX_TABLES} bytes"),
                _ => error.to_string(),
            };
            Flaw::Broken(None, side, why)
        })
    }
}

type File<'a> = object::File<'a, Bounded<'a>>;

/// Refuses to keep more than there is room for.
#[derive(Clone, Copy)]
struct Bounded<'a>(&'a Tables);

impl Bounded<'_> {
    fn spend(self, size: u64) -> Result<(), ()> {
        let left = self.0.left.get().checked_sub(size);
        self.0.left.set(left.unwrap_or_default());
        left.map(drop).ok_or(())
    }
}

impl<'a> ReadRef<'a> for Bounded<'a> {
    fn len(self) -> Result<u64, ()> {
        (&self.0.cache).len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        self.spend(size)?;
        (&self.0.cache).read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        let bytes = (&self.0.cache).read_bytes_at_until(range, delimiter)?;
        self.spend(bytes.len() as u64)?;
        Ok(bytes)
    }
}

/// A section that is not the same.
struct Differing {
    name: String,
    role: Role,
    position: usize,
    offset: u64,
    /// Its address, if it is loaded.
    address: Option<u64>,
    /// Its address in the terms of the symbols.
    start: u64,
    index: Option<SectionIndex>,
    only_in: Option<Side>,
    bytes: Option<Bytes>,
    reordered: Option<Units>,
}

impl Differing {
    /// What is looked at first: causes before what follows from them, and strings
    /// before the tables that point to them.
    fn rank(&self) -> (u8, Reverse<bool>) {
        let rank = match self.role {
            Role::Data => 0,
            Role::Code => 1,
            Role::Linking => 2,
            Role::DebugInformation => 3,
            Role::BuildId => 4,
        };
        (rank, Reverse(self.name.ends_with("str")))
    }
}

/// The sections that differ. Those of one name are matched in their order.
fn sections(
    one: &File<'_>,
    left: &Content,
    two: &File<'_>,
    right: &Content,
) -> Result<Vec<Differing>, Flaw> {
    let mut there: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for section in two.sections() {
        there
            .entry(name(&section, Side::Right)?)
            .or_default()
            .push(section);
    }
    let mut differing = Vec::new();
    let both = left.size().saturating_add(right.size());
    let mut room = both.saturating_mul(MAX_OVERLAP);
    for (position, section) in one.sections().enumerate() {
        let name = name(&section, Side::Left)?;
        let others = there.get_mut(&name).filter(|others| !others.is_empty());
        let other = others.map(|others| others.remove(0));
        let mut it = describe(&section, name, position);
        match other {
            None => it.only_in = Some(Side::Left),
            Some(other) => {
                let own = part(left, &section, Side::Left)?;
                let other = part(right, &other, Side::Right)?;
                room = room
                    .checked_sub(own.size())
                    .and_then(|room| room.checked_sub(other.size()))
                    .ok_or(Flaw::Whole(Whole::TooDeep))?;
                it.bytes = difference(&own, &other)?;
                if it.bytes.is_none() {
                    continue;
                }
                if it.role != Role::Code {
                    it.reordered = text::reordered(&own, &other, &[Units::Strings])?;
                }
            }
        }
        differing.push(it);
    }
    for (name, others) in there {
        for section in others {
            let mut it = describe(&section, name.clone(), usize::MAX);
            it.only_in = Some(Side::Right);
            differing.push(it);
        }
    }
    Ok(differing)
}

fn name<'a>(section: &impl ObjectSection<'a>, side: Side) -> Result<String, Flaw> {
    let name = section.name_bytes().map(super::members::name_of);
    name.map_err(|error| Flaw::Broken(None, side, error.to_string()))
}

fn describe<'a>(section: &impl ObjectSection<'a>, name: String, position: usize) -> Differing {
    let is_loaded = match section.flags() {
        object::SectionFlags::Elf { sh_flags, .. } => sh_flags.contains(object::elf::SHF_ALLOC),
        _ => false,
    };
    Differing {
        role: role(&name, section.kind()),
        name,
        position,
        offset: section.file_range().map_or(0, |(offset, _)| offset),
        // In an object file that is still to be linked, all are at 0.
        address: (is_loaded && section.address() != 0).then_some(section.address()),
        start: section.address(),
        index: Some(section.index()),
        only_in: None,
        bytes: None,
        reordered: None,
    }
}

fn role(name: &str, kind: SectionKind) -> Role {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|it| name.starts_with(it));
    match kind {
        _ if name == ".note.gnu.build-id" => Role::BuildId,
        SectionKind::Debug | SectionKind::DebugString => Role::DebugInformation,
        _ if starts(&[".debug_", ".zdebug_", ".gnu_debug", ".stab"]) => Role::DebugInformation,
        SectionKind::Text if !name.starts_with(".plt") => Role::Code,
        SectionKind::Metadata | SectionKind::Linker => Role::Linking,
        _ if starts(&[
            ".plt",
            ".got",
            ".dyn",
            ".hash",
            ".gnu.hash",
            ".gnu.version",
            ".rel",
            ".eh_frame",
            ".init_array",
            ".fini_array",
            ".data.rel.ro",
            ".gcc_except_table",
            ".symtab",
            ".strtab",
            ".shstrtab",
            ".orc_",
            "__ksymtab",
        ]) =>
        {
            Role::Linking
        }
        _ => Role::Data,
    }
}

/// What a section has in the file; nothing where it is only memory to be.
fn part<'a>(file: &Content, section: &impl ObjectSection<'a>, side: Side) -> Result<Content, Flaw> {
    let (offset, size) = section.file_range().unwrap_or_default();
    file.part(offset, size).ok_or_else(|| {
        let why = format!("a section of {size} bytes ends behind the file");
        Flaw::Broken(None, side, why)
    })
}

/// The symbol that begins at or before an address in a section.
fn symbol(file: &File<'_>, index: SectionIndex, address: u64) -> Option<Symbol> {
    let nearest = |dynamic| {
        let symbols = if dynamic {
            file.dynamic_symbols()
        } else {
            file.symbols()
        };
        symbols
            .filter(|it| it.section_index() == Some(index) && it.address() <= address)
            .filter(|it| !matches!(it.kind(), SymbolKind::Section | SymbolKind::File))
            .max_by_key(|it| (it.address(), it.size() > 0))
    };
    let symbol = nearest(false).or_else(|| nearest(true))?;
    let name = super::members::name_of(symbol.name_bytes().ok()?);
    (!name.is_empty()).then(|| Symbol {
        name,
        offset: address - symbol.address(),
    })
}

/// Notes what differs in what every ELF file begins with: where a section differs too,
/// it follows from that.
fn headers(walk: &mut Walk, one: &File<'_>, two: &File<'_>) {
    let fields = |file: &File<'_>| {
        [
            ("architecture", format!("{:?}", file.architecture())),
            ("type", format!("{:?}", file.kind())),
            ("entry point", format!("{:#x}", file.entry())),
            ("flags", format!("{:?}", file.flags())),
        ]
    };
    for ((field, left), (_, right)) in fields(one).iter().zip(&fields(two)) {
        if left != right {
            walk.field(Format::Elf, field, left, right);
        }
    }
}
