//! Reading and proving a zip's directory and local headers.

use std::collections::BTreeMap;

use super::super::MANIFEST;
use super::super::error::{ArtefactError, EntryFlaw, ZipFlaw};
use super::super::layout::{
    ATTRIBUTES, CENTRAL, CENTRAL_SIZE, END, END_SIZE, Fields, LOCAL_SIZE, MAX_ENTRIES,
    MAX_ZIP_SIZE, Placed, end_record,
};
use super::super::name::{MAX_NAME_LENGTH, check_name, folders};
use crate::read_at::ReadAt;

/// The longest comment that an end record could have, for telling trailing bytes.
const MAX_COMMENT: usize = 0xFFFF;

/// What the end record says.
struct End {
    entries: usize,
    directory_at: u64,
    directory_size: usize,
}

/// The entries of a zip of `size` bytes, in order, every header of them proven.
pub(super) fn read(
    source: &dyn ReadAt,
    size: u64,
    label: &str,
) -> Result<Vec<Placed>, ArtefactError> {
    let reading = Reading { source, label };
    let end = reading.end(size)?;
    let records = reading.bytes(end.directory_at, end.directory_size)?;
    let names_manifest = |bytes: &[u8]| bytes == MANIFEST.as_bytes();
    if !records.windows(MANIFEST.len()).any(names_manifest) {
        return Err(reading.zip(ZipFlaw::NoManifest));
    }
    let placed = reading.records(&records, &end)?;
    let actual = placed.last().map_or(0, Placed::end);
    if actual != end.directory_at {
        return Err(reading.zip(ZipFlaw::Gap {
            expected: end.directory_at,
            actual,
        }));
    }
    reading.distinct(&placed)?;
    for entry in &placed {
        reading.local_header(entry)?;
    }
    Ok(placed)
}

struct Reading<'a> {
    source: &'a dyn ReadAt,
    label: &'a str,
}

impl Reading<'_> {
    fn end(&self, size: u64) -> Result<End, ArtefactError> {
        if size > MAX_ZIP_SIZE {
            return Err(self.zip(ZipFlaw::TooLarge(size)));
        }
        let Some(end_at) = size.checked_sub(END_SIZE as u64) else {
            return Err(self.zip(ZipFlaw::NoEnd));
        };
        let record = self.bytes(end_at, END_SIZE)?;
        let fields = Fields(&record);
        if !record.starts_with(&END) {
            return Err(self.zip(self.after_end(size)?));
        }
        let (entries, comment) = (fields.u16(10), fields.u16(20));
        let (directory_size, directory_at) = (fields.u32(12), fields.u32(16));
        if entries == u16::MAX || directory_size == u32::MAX || directory_at == u32::MAX {
            return Err(self.zip(ZipFlaw::Zip64));
        }
        if comment != 0 {
            return Err(self.zip(ZipFlaw::Comment(comment)));
        }
        // All fields but the ones for volumes are known now.
        if record != end_record(entries, directory_size, directory_at) {
            return Err(self.zip(ZipFlaw::Volumes));
        }
        if entries == 0 {
            return Err(self.zip(ZipFlaw::Empty));
        }
        if usize::from(entries) > MAX_ENTRIES {
            return Err(self.zip(ZipFlaw::TooMany(entries)));
        }
        let actual = u64::from(directory_at) + u64::from(directory_size);
        if actual != end_at {
            return Err(self.zip(ZipFlaw::DirectoryPlace {
                expected: end_at,
                actual,
            }));
        }
        let entries = usize::from(entries);
        let directory_size = directory_size as usize;
        if directory_size > entries * (CENTRAL_SIZE + MAX_NAME_LENGTH) {
            return Err(self.zip(ZipFlaw::DirectorySize {
                entries,
                size: directory_size,
            }));
        }
        Ok(End {
            entries,
            directory_at: directory_at.into(),
            directory_size,
        })
    }

    /// What is wrong with a zip that does not end with an end record.
    fn after_end(&self, size: u64) -> Result<ZipFlaw, ArtefactError> {
        let most = (MAX_COMMENT + END_SIZE) as u64;
        let tail = self.bytes(size.saturating_sub(most), size.min(most) as usize)?;
        let found = tail.windows(END.len()).rposition(|bytes| bytes == END);
        Ok(
            match found.and_then(|at| tail.len().checked_sub(at + END_SIZE)) {
                Some(after) => ZipFlaw::Trailing(after as u64),
                None => ZipFlaw::NoEnd,
            },
        )
    }

    /// Reads the directory. Its memory is bounded, as [`Self::end`] bounded `end`.
    fn records(&self, records: &[u8], end: &End) -> Result<Vec<Placed>, ArtefactError> {
        let count = end.entries;
        let mut placed: Vec<Placed> = Vec::with_capacity(count);
        let mut rest = records;
        for index in 0..count {
            let cut_off = || self.zip(ZipFlaw::Directory(index));
            let (record, after) = rest.split_at_checked(CENTRAL_SIZE).ok_or_else(cut_off)?;
            if !record.starts_with(&CENTRAL) {
                return Err(cut_off());
            }
            let fields = Fields(record);
            let (name, after) = after
                .split_at_checked(fields.u16(28).into())
                .ok_or_else(cut_off)?;
            let entry = self.record(fields, name, placed.last())?;
            let canonical = entry.central_record();
            let found = record.iter().chain(name);
            if let Some(at) = canonical.iter().zip(found).position(|(a, b)| a != b) {
                return Err(self.entry(name, EntryFlaw::Record(at)));
            }
            if entry.end() > end.directory_at {
                return Err(self.entry(name, EntryFlaw::Beyond(entry.size)));
            }
            placed.push(entry);
            rest = after;
        }
        if rest.is_empty() {
            Ok(placed)
        } else {
            Err(self.zip(ZipFlaw::Directory(count)))
        }
    }

    /// Reads one record; the caller compares the fields that are the same in all.
    fn record(
        &self,
        fields: Fields<'_>,
        name: &[u8],
        before: Option<&Placed>,
    ) -> Result<Placed, ArtefactError> {
        let flawed = |flaw| self.entry(name, flaw);
        check_name(name).map_err(|flaw| flawed(EntryFlaw::Name(flaw)))?;
        let name = String::from_utf8_lossy(name).into_owned(); // ASCII: just checked
        if let Some(flaw) = record_flaw(fields) {
            return Err(flawed(flaw));
        }
        match before {
            None if name != MANIFEST => return Err(flawed(EntryFlaw::NotManifest)),
            Some(before) if before.name == name => return Err(flawed(EntryFlaw::Twice)),
            Some(before) if before.name != MANIFEST && before.name > name => {
                return Err(flawed(EntryFlaw::Order(before.name.clone())));
            }
            _ => {}
        }
        let entry = Placed {
            name,
            crc32: fields.u32(16),
            size: fields.u32(24),
            offset: fields.u32(42),
        };
        let expected = before.map_or(0, Placed::end);
        let actual = u64::from(entry.offset);
        if expected != actual {
            return Err(flawed(EntryFlaw::Place { expected, actual }));
        }
        Ok(entry)
    }

    /// Sorting finds the same name twice except for the manifest's, which is in
    /// front of the sorted ones; and no entry may be a folder of another.
    fn distinct(&self, placed: &[Placed]) -> Result<(), ArtefactError> {
        let mut names = BTreeMap::new();
        for entry in placed {
            if names.insert(entry.name.as_str(), ()).is_some() {
                return Err(self.entry(entry.name.as_bytes(), EntryFlaw::Twice));
            }
        }
        for entry in placed {
            if let Some(folder) = folders(&entry.name).find(|it| names.contains_key(it)) {
                let flaw = EntryFlaw::InsideEntry(folder.to_owned());
                return Err(self.entry(entry.name.as_bytes(), flaw));
            }
        }
        Ok(())
    }

    fn local_header(&self, entry: &Placed) -> Result<(), ArtefactError> {
        let expected = entry.local_header();
        let found = self.bytes(entry.offset.into(), expected.len())?;
        match expected.iter().zip(&found).position(|(a, b)| a != b) {
            None => Ok(()),
            Some(at) => {
                debug_assert!((at as u64) < LOCAL_SIZE + entry.name.len() as u64);
                Err(self.entry(entry.name.as_bytes(), EntryFlaw::Local(at)))
            }
        }
    }

    fn bytes(&self, at: u64, count: usize) -> Result<Vec<u8>, ArtefactError> {
        let mut bytes = vec![0; count];
        self.source
            .read_exact_at(&mut bytes, at)
            .map_err(|source| ArtefactError::Io {
                attempted: "read",
                artefact: self.label.to_owned(),
                source,
            })?;
        Ok(bytes)
    }

    fn zip(&self, flaw: ZipFlaw) -> ArtefactError {
        ArtefactError::Zip {
            artefact: self.label.to_owned(),
            flaw,
        }
    }

    fn entry(&self, name: &[u8], flaw: EntryFlaw) -> ArtefactError {
        let shown = name.get(..MAX_NAME_LENGTH).unwrap_or(name);
        ArtefactError::Entry {
            artefact: self.label.to_owned(),
            entry: shown.escape_ascii().to_string(),
            flaw,
        }
    }
}

/// The common ways in which a record is not canonical, each with its own words.
fn record_flaw(fields: Fields<'_>) -> Option<EntryFlaw> {
    let (flags, method) = (fields.u16(8), fields.u16(10));
    let (compressed, uncompressed) = (fields.u32(20), fields.u32(24));
    let attributes = fields.u32(38);
    let unix = attributes >> 16;
    Some(if flags & 1 != 0 {
        EntryFlaw::Encrypted
    } else if flags & 8 != 0 {
        EntryFlaw::Descriptor
    } else if method != 0 {
        EntryFlaw::Compressed(method)
    } else if [compressed, uncompressed, fields.u32(42)].contains(&u32::MAX) {
        EntryFlaw::Zip64
    } else if fields.u16(30) != 0 {
        EntryFlaw::Extra
    } else if fields.u16(32) != 0 {
        EntryFlaw::Comment
    } else if compressed != uncompressed {
        EntryFlaw::Sizes {
            compressed,
            uncompressed,
        }
    } else if unix & 0o170_000 == 0o120_000 {
        EntryFlaw::Symlink
    } else if unix != ATTRIBUTES >> 16 {
        EntryFlaw::Mode(unix)
    } else if (fields.u16(12), fields.u16(14)) != (0, 0x21) {
        EntryFlaw::Time
    } else {
        return None;
    })
}
