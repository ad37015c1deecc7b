//! Unified kernel images: one EFI program that holds a stub, a kernel, its initramfs and its
//! command line (UAPI Group Specifications, *Unified Kernel Image*).
//!
//! Sections are added to the stub, a PE image (Microsoft, *PE Format*), as a linker would. Kernel and
//! initramfs stay where they are and are read when the image is written. Each begins with a
//! sector of the file and has its last one for itself, so that a loader that knows nothing of
//! PE can take them out by their sectors.

use std::ops::Range;

use crate::content::Content;
use crate::disk::{Disk, DiskError};
use crate::gpt::SECTOR;

/// The largest stub, in bytes. Real ones have some 100 KiB.
const MAX_STUB: usize = 16 << 20;
/// The first bytes of a PE header, and the magic number of one of 64 bits.
const SIGNATURE: &[u8] = b"PE\0\0";
const PE64: u32 = 0x20b;
/// The size of a section's header in bytes.
const SECTION: usize = 40;
/// A section's flags: initialised data, readable.
const DATA: u32 = 0x4000_0040;
/// Where fields are, from the signature on.
const SECTION_COUNT: usize = 6;
const OPTIONAL_SIZE: usize = 20;
const OPTIONAL: usize = 24;
const MAGIC: usize = OPTIONAL;
const DATA_SIZE: usize = OPTIONAL + 8;
const SECTION_ALIGN: usize = OPTIONAL + 32;
const FILE_ALIGN: usize = OPTIONAL + 36;
const IMAGE_SIZE: usize = OPTIONAL + 56;
const HEADERS_SIZE: usize = OPTIONAL + 60;
const CHECKSUM: usize = OPTIONAL + 64;
const DIRECTORIES: usize = OPTIONAL + 108;
const CERTIFICATES: usize = OPTIONAL + 112 + 4 * 8;

/// What goes into a unified kernel image.
#[derive(Debug, Clone)]
pub struct Uki {
    /// The stub: systemd's `linuxx64.efi.stub`, for example.
    pub stub: Vec<u8>,
    /// What it calls itself, in the form of `/etc/os-release`.
    pub os_release: String,
    /// The kernel's command line.
    pub cmdline: String,
    /// The initramfs.
    pub initramfs: Content,
    /// The kernel.
    pub kernel: Content,
}

/// A unified kernel image, and where its parts lie in it.
#[derive(Debug, Clone)]
pub struct Image {
    /// The EFI program.
    pub program: Content,
    /// The sectors of 512 bytes that hold the initramfs, and zeros up to the last one's end;
    /// none where there is no initramfs.
    pub initramfs: Range<u64>,
    /// Those that hold the kernel.
    pub kernel: Range<u64>,
}

/// A unified kernel image cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UkiError {
    /// The stub is something else.
    #[error("could not use the EFI stub: expected an unsigned PE image of 64 bits, found {0}")]
    Stub(&'static str),
    /// The image would be larger than a PE image can be.
    #[error("could not make a unified kernel image of {0} bytes: expected less than 4 GiB")]
    TooLarge(u64),
}

impl UkiError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Stub(_) => Some("take `linuxx64.efi.stub` of systemd".to_owned()),
            Self::TooLarge(_) => Some("make the initramfs smaller".to_owned()),
        }
    }
}

impl From<DiskError> for UkiError {
    fn from(error: DiskError) -> Self {
        match error {
            DiskError::TooLarge(size) => Self::TooLarge(size),
            _ => Self::Stub("sections that overlap"),
        }
    }
}

impl Uki {
    /// Makes the image.
    ///
    /// # Errors
    /// [`UkiError`] where the stub is none, or the whole is too large.
    pub fn build(&self) -> Result<Image, UkiError> {
        let mut stub = Stub::read(&self.stub)?;
        let mut placed = Vec::new();
        let mut add = |name, content: Content| -> Result<Range<u64>, UkiError> {
            let at = stub.add(name, &content)?;
            let sectors = at / SECTOR..(at + content.len()).div_ceil(SECTOR);
            placed.push((at, content));
            Ok(sectors)
        };
        add(*b".osrel\0\0", Content::bytes(self.os_release.as_str()))?;
        add(*b".cmdline", Content::bytes(self.cmdline.as_str()))?;
        let initramfs = add(*b".initrd\0", self.initramfs.clone())?;
        // The kernel is last, because it may unpack itself over what follows it.
        let kernel = add(*b".linux\0\0", self.kernel.clone())?;
        let mut image = Disk::new(stub.file_end)?;
        image.put(0, Content::bytes(stub.finish()))?;
        for (at, content) in placed {
            image.put(at, content)?;
        }
        Ok(Image {
            program: image.into(),
            initramfs,
            kernel,
        })
    }
}

/// A stub that sections are added to.
struct Stub {
    bytes: Vec<u8>,
    /// Where the signature is.
    header: usize,
    /// Where the next section's header goes, and where there is room no more.
    next_header: usize,
    headers_end: usize,
    section_align: u64,
    file_align: u64,
    /// Where sections end so far, in the file and in memory.
    file_end: u64,
    memory_end: u64,
}

impl Stub {
    fn read(bytes: &[u8]) -> Result<Self, UkiError> {
        let refused = |why| Err(UkiError::Stub(why));
        if bytes.len() > MAX_STUB || !bytes.starts_with(b"MZ") {
            return refused("something else");
        }
        let field = |at: usize| u32_at(bytes, at).ok_or(UkiError::Stub("a header that is cut off"));
        let header = field(0x3c)? as usize;
        if bytes
            .get(header..)
            .is_none_or(|it| !it.starts_with(SIGNATURE))
        {
            return refused("no PE header");
        }
        let of = |offset: usize| field(header + offset);
        if of(MAGIC)? & 0xffff != PE64 {
            return refused("an image of 32 bits");
        }
        if of(DIRECTORIES)? > 4 && of(CERTIFICATES)? != 0 {
            return refused("a signature");
        }
        let count = (of(SECTION_COUNT)? & 0xffff) as usize;
        let table = header + OPTIONAL + (of(OPTIONAL_SIZE)? & 0xffff) as usize;
        let mut stub = Self {
            bytes: bytes.to_vec(),
            header,
            next_header: table + count * SECTION,
            headers_end: of(HEADERS_SIZE)? as usize,
            section_align: of(SECTION_ALIGN)?.into(),
            file_align: of(FILE_ALIGN)?.into(),
            file_end: bytes.len() as u64,
            memory_end: 0,
        };
        if !stub.section_align.is_power_of_two() || !stub.file_align.is_power_of_two() {
            return refused("an alignment that is no power of two");
        }
        // Both are powers of two, so what is aligned to the larger is aligned to both.
        stub.file_align = stub.file_align.max(SECTOR);
        for number in 0..count {
            let at = table + number * SECTION;
            let end = |size, start| -> Result<u64, UkiError> {
                Ok(u64::from(field(at + size)?) + u64::from(field(at + start)?))
            };
            stub.memory_end = stub.memory_end.max(end(8, 12)?);
            if end(16, 20)? > stub.file_end {
                return refused("a section that is cut off");
            }
        }
        Ok(stub)
    }

    /// Adds a section; gives where in the file its content goes.
    fn add(&mut self, name: [u8; 8], content: &Content) -> Result<u64, UkiError> {
        let at = self.file_end.next_multiple_of(self.file_align);
        let address = self.memory_end.next_multiple_of(self.section_align);
        let stored = content.len().next_multiple_of(self.file_align);
        self.file_end = at.saturating_add(stored);
        self.memory_end = address.saturating_add(content.len());
        let largest = self.file_end.max(self.memory_end);
        let fits = |number: u64| u32::try_from(number).map_err(|_| UkiError::TooLarge(largest));
        let next_end = self.memory_end.next_multiple_of(self.section_align);
        fits(self.file_end).and(fits(next_end))?;
        let mut section = name.to_vec();
        for number in [content.len(), address, stored, at] {
            section.extend_from_slice(&fits(number)?.to_le_bytes());
        }
        section.extend_from_slice(&[0; 12]);
        section.extend_from_slice(&DATA.to_le_bytes());
        let place = self.next_header..self.next_header + SECTION;
        let room = self.bytes.get_mut(place.clone());
        match room.filter(|_| place.end <= self.headers_end) {
            Some(room) if room.iter().all(|byte| *byte == 0) => room.copy_from_slice(&section),
            _ => return Err(UkiError::Stub("no room for more sections in its header")),
        }
        self.next_header = place.end;
        self.change(SECTION_COUNT, |count| count + 1);
        self.change(DATA_SIZE, |size| size.wrapping_add(stored as u32));
        self.change(IMAGE_SIZE, |_| next_end as u32);
        Ok(at)
    }

    fn finish(mut self) -> Vec<u8> {
        // EFI firmware does not look at it; without one nothing can be wrong.
        self.change(CHECKSUM, |_| 0);
        self.bytes
    }

    /// Changes a field, which was read before.
    fn change(&mut self, offset: usize, change: impl FnOnce(u32) -> u32) {
        let at = self.header + offset;
        let old = u32_at(&self.bytes, at).unwrap_or_default();
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&change(old).to_le_bytes());
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*field))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PE image of 64 bits with one section, and room for four more.
    fn stub() -> Vec<u8> {
        let mut stub = vec![0; 0x600];
        stub[..2].copy_from_slice(b"MZ");
        let mut set = |at: usize, value: u32| {
            stub[at..at + 4].copy_from_slice(&value.to_le_bytes());
        };
        set(0x3c, 0x80);
        let header = 0x80;
        set(header, u32::from_le_bytes(*b"PE\0\0"));
        set(header + 4, 1 << 16 | 0x8664);
        set(header + OPTIONAL_SIZE, 240);
        set(header + MAGIC, PE64);
        set(header + SECTION_ALIGN, 0x1000);
        set(header + FILE_ALIGN, 0x200);
        set(header + HEADERS_SIZE, 0x400);
        set(header + DIRECTORIES, 16);
        set(header + CHECKSUM, 77);
        let section = header + OPTIONAL + 240;
        set(section + 8, 0x150);
        set(section + 12, 0x1000);
        set(section + 16, 0x200);
        set(section + 20, 0x400);
        stub
    }

    fn uki(stub: Vec<u8>) -> Uki {
        Uki {
            stub,
            os_release: "ID=luni\n".to_owned(),
            cmdline: "console=ttyS0".to_owned(),
            initramfs: Content::bytes(vec![1; 1000]),
            kernel: Content::bytes(vec![2; 5000]),
        }
    }

    #[test]
    fn sections_are_added_one_after_the_other() {
        let image = uki(stub()).build().unwrap().program;
        let image = image.to_vec(1 << 20).unwrap();
        let header = 0x80;
        assert_eq!(u32_at(&image, header + 4), Some(5 << 16 | 0x8664));
        assert_eq!(u32_at(&image, header + CHECKSUM), Some(0));
        let section = |number: usize| {
            let at = header + OPTIONAL + 240 + number * SECTION;
            let name = String::from_utf8(image[at..at + 8].to_vec()).unwrap();
            let field = |offset| u32_at(&image, at + offset).unwrap();
            (name, [field(8), field(12), field(16), field(20)], field(36))
        };
        let expected = [
            (".osrel\0\0", [8, 0x2000, 0x200, 0x600]),
            (".cmdline", [13, 0x3000, 0x200, 0x800]),
            (".initrd\0", [1000, 0x4000, 0x400, 0xa00]),
            (".linux\0\0", [5000, 0x5000, 0x1400, 0xe00]),
        ];
        for (number, (name, fields)) in (1..).zip(expected) {
            assert_eq!(section(number), (name.to_owned(), fields, DATA));
        }
        assert_eq!(image.len(), 0xe00 + 0x1400);
        assert_eq!(u32_at(&image, header + IMAGE_SIZE), Some(0x7000));
        assert_eq!(
            u32_at(&image, header + DATA_SIZE),
            Some(0x200 * 2 + 0x400 + 0x1400)
        );
        assert!(image[0xe00..0xe00 + 5000].iter().all(|byte| *byte == 2));
        assert!(image[0xe00 + 5000..].iter().all(|byte| *byte == 0));
    }

    /// With an alignment that is smaller than a sector, and one that is larger.
    #[test]
    fn kernel_and_initramfs_have_sectors_of_their_own() {
        for align in [0x10, 0x200, 0x1000] {
            let mut stub = stub();
            let at = 0x80 + FILE_ALIGN;
            stub[at..at + 4].copy_from_slice(&u32::to_le_bytes(align));
            let image = uki(stub).build().unwrap();
            assert_eq!(image.program.len() % SECTOR, 0);
            for (sectors, byte, len) in [(image.initramfs, 1, 1000), (image.kernel, 2, 5000)] {
                let bytes = sectors.start * SECTOR..sectors.end * SECTOR;
                let held = image.program.slice(bytes).to_vec(1 << 20).unwrap();
                let (content, rest) = held.split_at(len);
                assert!(content.iter().all(|it| *it == byte), "{align}");
                assert!(rest.len() < 512 && rest.iter().all(|it| *it == 0));
            }
        }
        let mut none = uki(stub());
        none.initramfs = Content::bytes([]);
        assert!(none.build().unwrap().initramfs.is_empty());
    }

    #[test]
    fn other_stubs_are_refused() {
        type Change<'a> = &'a dyn Fn(&mut Vec<u8>);
        let refused = |change: Change<'_>| {
            let mut stub = stub();
            change(&mut stub);
            uki(stub).build().unwrap_err()
        };
        let stubs: [Change<'_>; 10] = [
            &|it| it.clear(),
            &|it| it[0] = 0,
            &|it| it[0x3c..0x40].fill(0xff),
            &|it| it[0x80] = 0,
            &|it| it[0x80 + MAGIC] = 1,
            &|it| it[0x80 + CERTIFICATES] = 1,
            &|it| it[0x80 + SECTION_ALIGN] = 3,
            &|it| it[0x80 + HEADERS_SIZE + 1] = 2,
            &|it| it.truncate(0x5ff),
            // Something is where the header of the last section goes.
            &|it| it[0x80 + OPTIONAL + 240 + 5 * SECTION - 1] = 1,
        ];
        for change in stubs {
            assert!(matches!(refused(change), UkiError::Stub(_)));
        }
        for len in 0..0x200 {
            assert!(matches!(refused(&|it| it.truncate(len)), UkiError::Stub(_)));
        }
        let source = std::sync::Arc::new(Vec::new());
        let mut large = uki(stub());
        large.initramfs = Content::new(source.clone(), 0, 1 << 32);
        assert!(matches!(large.build(), Err(UkiError::TooLarge(_))));
        // In memory, sections take whole pages, of which the last one ends at 4 GiB here.
        large.initramfs = Content::bytes([]);
        large.kernel = Content::new(source.clone(), 0, (1 << 32) - 0x5000);
        assert!(large.build().is_ok());
        large.kernel = Content::new(source, 0, (1 << 32) - 0x4fff);
        assert!(matches!(large.build(), Err(UkiError::TooLarge(_))));
    }
}
