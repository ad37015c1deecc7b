//! Going down into two contents, and noting what differs on the way.

use std::error::Error;
use std::io::{self, Read};

use super::bytes::Bytes;
use super::content::{Content, MAX_COPIED, Sided, copy, difference, side_of};
use super::{CompareError, Difference, Format, Found, Other, Place, Side, Whole};
use super::{ar, cpio, elf, members, packed, tar, text, zip};

/// How many places may be on the way: archives in archives, and what they unpack to.
const MAX_DEPTH: usize = 12;
/// How much is unpacked in all: it bounds the time that a bomb can take.
const MAX_UNPACKED: u64 = 16 << 30;

/// Where the walk is, and what was found before.
#[derive(Debug, Default)]
pub(super) struct Walk {
    entry: String,
    path: Vec<Place>,
    found: Vec<Other>,
    unlisted: u64,
    unpacked: u64,
    /// How much the lists of members take that are in memory, in bytes.
    pub(super) lists: usize,
}

/// How much was noted at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    found: usize,
    unlisted: u64,
}

/// What was noted and taken back.
#[derive(Debug)]
pub(super) struct Noted {
    found: Vec<Other>,
    unlisted: u64,
}

/// Why two contents could not be taken apart.
#[derive(Debug)]
pub(super) enum Flaw {
    /// One of them is broken: what it should be, where that is not what is being taken
    /// apart; which one; why.
    Broken(Option<Format>, Side, String),
    /// They are larger than what is taken apart, or too much was unpacked before.
    Whole(Whole),
    /// Comparing cannot go on.
    Stop(CompareError),
}

impl From<CompareError> for Flaw {
    fn from(error: CompareError) -> Self {
        Self::Stop(error)
    }
}

impl From<io::Error> for Flaw {
    fn from(error: io::Error) -> Self {
        match side_of(&error) {
            Some(side) => Self::Broken(None, side, reasons(&error)),
            None => Self::Stop(CompareError::Copy(error)),
        }
    }
}

/// An error and what caused it, in one line.
pub(super) fn reasons(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Opens what one side has, from its beginning.
pub(super) type Open<'a> = &'a dyn Fn() -> Result<Box<dyn Read + 'a>, CompareError>;

impl Walk {
    /// Goes on in another entry.
    pub(super) fn enter(&mut self, entry: &str) {
        entry.clone_into(&mut self.entry);
    }

    /// What was found.
    pub(super) fn finish(self) -> Option<Difference> {
        let mut found = self.found.into_iter();
        found.next().map(|first| Difference {
            entry: first.entry,
            path: first.path,
            found: first.found,
            others: found.collect(),
            unlisted: self.unlisted,
        })
    }

    /// Notes a difference here.
    pub(super) fn note(&mut self, found: Found) {
        if self.is_full() {
            self.unlisted += 1;
            return;
        }
        self.found.push(Other {
            entry: self.entry.clone(),
            path: self.path.clone(),
            found,
        });
    }

    /// Notes one of a field here.
    pub(super) fn field(&mut self, format: Format, field: &str, left: &str, right: &str) {
        self.note(Found::Field {
            format,
            field: field.to_owned(),
            left: left.to_owned(),
            right: right.to_owned(),
        });
    }

    /// How far it is.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            found: self.found.len(),
            unlisted: self.unlisted,
        }
    }

    /// Takes back what was noted since `mark`.
    pub(super) fn take_back(&mut self, mark: &Mark) -> Noted {
        let unlisted = self.unlisted.saturating_sub(mark.unlisted);
        self.unlisted = mark.unlisted;
        Noted {
            found: self.found.split_off(mark.found.min(self.found.len())),
            unlisted,
        }
    }

    /// Notes again what was taken back.
    pub(super) fn note_again(&mut self, noted: Noted) {
        self.found.extend(noted.found);
        self.unlisted += noted.unlisted;
    }

    /// How many were noted.
    pub(super) fn count(&self) -> u64 {
        self.found.len() as u64 + self.unlisted
    }

    /// Whether further ones are only counted.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() > Difference::MOST_OTHERS
    }

    /// How many more are told.
    pub(super) fn room(&self) -> usize {
        (Difference::MOST_OTHERS + 1).saturating_sub(self.found.len())
    }

    /// Counts differences that are not worth a place of their own.
    pub(super) fn leave_out(&mut self, count: u64) {
        self.unlisted += count;
    }

    /// Does something within a place that is in this one.
    pub(super) fn within<T>(&mut self, place: Place, go: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(place);
        let done = go(self);
        self.path.pop();
        done
    }

    /// Compares two contents, and notes what differs; false where they are the same.
    pub(super) fn contents(
        &mut self,
        left: &Content,
        right: &Content,
    ) -> Result<bool, CompareError> {
        if left.size() == right.size() && self.is_full() {
            let same = difference(left, right)?.is_none();
            self.unlisted += u64::from(!same);
            return Ok(!same);
        }
        let Some(bytes) = difference(left, right)? else {
            return Ok(false);
        };
        let format = match Format::of(left)? {
            Some(format) if Format::of(right)? == Some(format) && !self.is_full() => format,
            _ => {
                self.note(text::found(left, right, bytes)?);
                return Ok(true);
            }
        };
        let depth = self.path.len();
        self.take_apart(
            format,
            || Ok(bytes),
            |walk| {
                if depth >= MAX_DEPTH {
                    return Err(Flaw::Whole(Whole::TooDeep));
                }
                walk.inside(format, left, right)
            },
        )?;
        Ok(true)
    }

    fn inside(&mut self, format: Format, left: &Content, right: &Content) -> Result<(), Flaw> {
        let one = || Ok(Box::new(left.reader()) as Box<dyn Read>);
        let two = || Ok(Box::new(right.reader()) as Box<dyn Read>);
        match format {
            Format::Gzip | Format::Xz | Format::Zstd | Format::Bzip2 => {
                packed::compare(self, format, &one, &two)
            }
            Format::Cpio => cpio::compare(self, &one, &two),
            Format::Ar => members::compare(self, format, ar::members, left, right),
            Format::Tar => members::compare(self, format, tar::members, left, right),
            Format::Zip => members::compare(self, format, zip::members, left, right),
            Format::Elf => elf::compare(self, left, right),
        }
    }

    /// Takes two contents apart that are known to differ. Where nothing inside differs,
    /// or they cannot be taken apart, that is noted.
    pub(super) fn take_apart(
        &mut self,
        format: Format,
        bytes: impl FnOnce() -> Result<Bytes, CompareError>,
        apart: impl FnOnce(&mut Self) -> Result<(), Flaw>,
    ) -> Result<(), CompareError> {
        let (before, depth) = (self.count(), self.path.len());
        let flaw = apart(self).err();
        self.path.truncate(depth);
        let found = match flaw {
            None if self.count() > before => return Ok(()),
            None => Found::Packing {
                format,
                bytes: bytes()?,
            },
            Some(Flaw::Broken(inner, side, why)) => Found::Unreadable {
                format: inner.unwrap_or(format),
                side,
                why,
                bytes: bytes()?,
            },
            Some(Flaw::Whole(whole)) => Found::Content {
                bytes: bytes()?,
                reordered: None,
                whole: Some(whole),
            },
            Some(Flaw::Stop(error)) => return Err(error),
        };
        self.note(found);
        Ok(())
    }

    /// Copies what something unpacks to.
    pub(super) fn unpack<R: Read>(&mut self, reader: &mut Sided<R>) -> Result<Content, Flaw> {
        let left = MAX_UNPACKED.saturating_sub(self.unpacked);
        match copy(reader, left.min(MAX_COPIED))? {
            Some(content) => {
                self.unpacked += content.size();
                Ok(content)
            }
            None if left < MAX_COPIED => Err(Flaw::Whole(Whole::TooDeep)),
            None => {
                self.unpacked += MAX_COPIED;
                Err(Flaw::Whole(Whole::TooLarge))
            }
        }
    }
}

impl Format {
    /// How many bytes say what something is.
    const HEAD: usize = 265;

    /// How a content begins, if that is known.
    fn of(content: &Content) -> io::Result<Option<Self>> {
        let head = content.bytes(0, Self::HEAD)?;
        Ok(Self::of_head(&head))
    }

    pub(super) fn of_head(head: &[u8]) -> Option<Self> {
        let magics: [(&[u8], Self); 9] = [
            (&[0x1f, 0x8b, 8], Self::Gzip),
            (b"\xfd7zXZ\0", Self::Xz),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
            (b"BZh", Self::Bzip2),
            (b"070701", Self::Cpio),
            (b"!<arch>\n", Self::Ar),
            (b"PK\x03\x04", Self::Zip),
            (b"PK\x05\x06", Self::Zip),
            (b"\x7fELF", Self::Elf),
        ];
        let known = magics
            .into_iter()
            .find(|(magic, _)| head.starts_with(magic));
        if let Some((_, format)) = known {
            return Some(format);
        }
        let is_tar = head.get(257..262) == Some(b"ustar");
        is_tar.then_some(Self::Tar)
    }
}
