//! Content that can be read from any place, without being in memory.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::sync::Arc;

use fs_err::File;
use fs_err::os::unix::fs::FileExt as _;

use super::Side;
use super::bytes::{Bytes, Search, fill};

/// Up to this size, content is kept in memory, and beyond it in a file without a name
/// in the folder for such files.
const IN_MEMORY: usize = 2 << 20;
/// The largest content that is copied to be taken apart.
pub(super) const MAX_COPIED: u64 = 1 << 30;
const CHUNK: usize = 64 << 10;

/// A part of something in memory or in a file.
#[derive(Debug, Clone)]
pub(super) struct Content {
    store: Arc<Store>,
    start: u64,
    size: u64,
}

#[derive(Debug)]
enum Store {
    Memory(Vec<u8>),
    File(File),
}

impl Content {
    /// The first `size` bytes of a file.
    pub(super) fn of_file(file: File, size: u64) -> Self {
        Self {
            store: Arc::new(Store::File(file)),
            start: 0,
            size,
        }
    }

    /// Bytes that are in memory.
    pub(super) fn of_bytes(bytes: Vec<u8>) -> Self {
        let size = bytes.len() as u64;
        Self {
            store: Arc::new(Store::Memory(bytes)),
            start: 0,
            size,
        }
    }

    /// Its size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// A part of it; `None` where it does not reach so far.
    pub(super) fn part(&self, start: u64, size: u64) -> Option<Self> {
        let end = start.checked_add(size)?;
        (end <= self.size).then(|| Self {
            store: Arc::clone(&self.store),
            start: self.start + start,
            size,
        })
    }

    /// Up to `count` bytes from `at` on.
    pub(super) fn bytes(&self, at: u64, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut reader = self.reader();
        reader.at = at;
        fill(&mut reader, &mut bytes, count)?;
        Ok(bytes)
    }

    /// Where what is there again begins, from a hole of a sparse file at `at` on; `at` itself
    /// where there is none, or it is not known.
    fn hole_end(&self, at: u64) -> u64 {
        let Store::File(file) = self.store.as_ref() else {
            return at;
        };
        // Nothing here reads from where the file stands.
        match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(self.start + at)) {
            Ok(data) => data.saturating_sub(self.start).clamp(at, self.size.max(at)),
            Err(rustix::io::Errno::NXIO) => self.size.max(at),
            Err(_) => at,
        }
    }

    /// Reads it from its beginning.
    pub(super) fn reader(&self) -> Reader {
        Reader {
            content: self.clone(),
            at: 0,
        }
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let left = self.size.saturating_sub(at);
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let buffer = buffer.get_mut(..most).unwrap_or_default();
        let at = self.start.saturating_add(at);
        match self.store.as_ref() {
            Store::File(file) => file.read_at(buffer, at),
            Store::Memory(bytes) => {
                let from = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
                from.unwrap_or_default().read(buffer)
            }
        }
    }
}

/// Reads a [`Content`] from front to back.
#[derive(Debug)]
pub(super) struct Reader {
    content: Content,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.content.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Takes content of a size that is not known yet.
#[derive(Debug, Default)]
struct Copy {
    memory: Vec<u8>,
    file: Option<File>,
    size: u64,
}

impl Copy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.size += bytes.len() as u64;
        if let Some(file) = &mut self.file {
            return file.write_all(bytes);
        }
        self.memory.extend_from_slice(bytes);
        if self.memory.len() > IN_MEMORY {
            let file = tempfile::tempfile()?;
            let mut file = File::from_parts(file, "a copy for comparing");
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.file = Some(file);
        }
        Ok(())
    }

    fn finish(mut self) -> Content {
        self.memory.shrink_to_fit();
        match self.file {
            Some(file) => Content::of_file(file, self.size),
            None => Content::of_bytes(self.memory),
        }
    }
}

/// Copies what `reader` gives; `None` where that is more than `limit` bytes. Only errors
/// of `reader` have a side.
pub(super) fn copy<R: Read>(reader: &mut Sided<R>, limit: u64) -> io::Result<Option<Content>> {
    let (mut copied, mut chunk) = (Copy::default(), Vec::new());
    loop {
        fill(reader, &mut chunk, CHUNK)?;
        if chunk.is_empty() {
            return Ok(Some(copied.finish()));
        }
        if copied.size + chunk.len() as u64 > limit {
            return Ok(None);
        }
        copied.write(&chunk)?;
    }
}

/// Where two contents differ first, and how much; `None` where they are the same. Holes that
/// both have are not read: a disk image is mostly that.
pub(super) fn difference(left: &Content, right: &Content) -> io::Result<Option<Bytes>> {
    let mut search = Search::default();
    let (mut first, mut second) = (left.reader(), right.reader());
    let (mut one, mut two) = (Vec::new(), Vec::new());
    loop {
        fill(&mut first, &mut one, CHUNK)?;
        fill(&mut second, &mut two, CHUNK)?;
        if one.is_empty() && two.is_empty() {
            return Ok(search.finish());
        }
        search.take(&one, &two);
        // Asked behind zeros only: most files are not sparse.
        if first.at == second.at && one == two && one.iter().all(|byte| *byte == 0) {
            let end = left.hole_end(first.at).min(right.hole_end(second.at));
            search.take_zeros(end - first.at);
            (first.at, second.at) = (end, end);
        }
    }
}

/// What became of two contents that can be read only once.
#[derive(Debug)]
pub(super) enum Pair {
    /// They are the same.
    Same,
    /// They differ; here they are.
    Copied(Content, Content),
    /// They differ, and were not copied.
    Read(Bytes),
}

/// Reads both to their ends, and copies them on the way, up to `limit` bytes of each.
/// Of what is the same, only one copy is made.
pub(super) fn pair<L: Read, R: Read>(
    left: &mut Sided<L>,
    right: &mut Sided<R>,
    limit: u64,
) -> io::Result<Pair> {
    let mut search = Search::default();
    let mut copies = Some((Copy::default(), None::<Copy>));
    let (mut one, mut two) = (Vec::new(), Vec::new());
    loop {
        fill(left, &mut one, CHUNK)?;
        fill(right, &mut two, CHUNK)?;
        if one.is_empty() && two.is_empty() {
            break;
        }
        let same = one == two && !search.differs();
        search.take(&one, &two);
        let Some((first, second)) = &mut copies else {
            continue;
        };
        if first.size + (one.len().max(two.len()) as u64) > limit {
            copies = None;
            continue;
        }
        if !same {
            let second = match second {
                Some(second) => second,
                None => second.insert(again(first)?),
            };
            second.write(&two)?;
        }
        first.write(&one)?;
    }
    Ok(match (search.finish(), copies) {
        (None, _) => Pair::Same,
        (Some(_), Some((first, Some(second)))) => Pair::Copied(first.finish(), second.finish()),
        (Some(bytes), _) => Pair::Read(bytes),
    })
}

/// A second copy of what was copied.
fn again(copied: &Copy) -> io::Result<Copy> {
    let mut second = Copy::default();
    let Some(file) = &copied.file else {
        second.write(&copied.memory)?;
        return Ok(second);
    };
    let mut buffer = vec![0; CHUNK];
    while second.size < copied.size {
        match file.read_at(&mut buffer, second.size)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => second.write(buffer.get(..count).unwrap_or_default())?,
        }
    }
    Ok(second)
}

/// Reads, and remembers in an error which side it was.
#[derive(Debug)]
pub(super) struct Sided<R>(pub(super) R, pub(super) Side);

/// An error of one side.
#[derive(Debug)]
struct OnSide(io::Error, Side);

impl fmt::Display for OnSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for OnSide {}

impl<R: Read> Read for Sided<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            kind => io::Error::new(kind, OnSide(error, self.1)),
        })
    }
}

/// Which side could not be read; `None` where it was a copy that failed.
pub(super) fn side_of(error: &io::Error) -> Option<Side> {
    let inner = error.get_ref()?.downcast_ref::<OnSide>()?;
    Some(inner.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sided(left: &[u8], right: &[u8], limit: u64) -> Pair {
        let mut left = Sided(left, Side::Left);
        pair(&mut left, &mut Sided(right, Side::Right), limit).unwrap()
    }

    fn all(content: &Content) -> Vec<u8> {
        content.bytes(0, usize::MAX >> 1).unwrap()
    }

    /// A file with `byte` at `at`, and holes around it.
    fn sparse(size: u64, at: u64, byte: u8) -> Content {
        let file = File::from_parts(tempfile::tempfile().unwrap(), "sparse");
        file.set_len(size).unwrap();
        file.write_all_at(&[byte], at).unwrap();
        Content::of_file(file, size)
    }

    #[test]
    fn holes_that_both_have_are_not_read() {
        // Reading this would take most of an hour.
        let size = 1 << 42;
        for at in [0, CHUNK as u64, size / 2 + 12_345, size - 1] {
            let one = sparse(size, at, 1);
            assert_eq!(difference(&one, &sparse(size, at, 1)).unwrap(), None);
            let found = difference(&one, &sparse(size, at, 2)).unwrap().unwrap();
            assert_eq!((found.offset, found.left.size), (at, size));
            assert_eq!((found.left_from()[0], found.right_from()[0]), (1, 2));
            assert!(found.before().iter().all(|byte| *byte == 0));
            assert_eq!(found.before().len() as u64, at.min(128));
            let extent = found.extent.unwrap();
            assert_eq!((extent.bytes, extent.ranges), (1, 1));
        }
        // In parts, and where a hole is in one of them only.
        let (one, two) = (sparse(size, size / 2, 1), sparse(size, 9, 1));
        let part = |it: &Content| it.part(1, CHUNK as u64 * 9).unwrap();
        let found = difference(&part(&one), &part(&two)).unwrap().unwrap();
        assert_eq!((found.offset, found.right_from()[0]), (8, 1));
        assert_eq!(found.right.size, CHUNK as u64 * 9);
    }

    #[test]
    fn both_copies_are_whole_wherever_they_differ() {
        let left: Vec<u8> = (0..IN_MEMORY + 3 * CHUNK).map(|at| at as u8).collect();
        assert!(matches!(sided(&left, &left, MAX_COPIED), Pair::Same));
        for at in [0, CHUNK, IN_MEMORY + 5, left.len() - 1] {
            let mut right = left.clone();
            right[at] ^= 1;
            right.extend(b"more");
            let Pair::Copied(one, two) = sided(&left, &right, MAX_COPIED) else {
                panic!("not copied");
            };
            assert!(all(&one) == left && all(&two) == right, "{at}");
            let part = two.part(at as u64, 4).unwrap();
            assert_eq!(all(&part), right[at..at + 4]);
            assert!(two.part(right.len() as u64 - 3, 4).is_none());
        }
    }

    #[test]
    fn what_is_too_large_is_only_read() {
        let left = vec![1; 3 * CHUNK];
        let mut right = left.clone();
        *right.last_mut().unwrap() = 2;
        let Pair::Read(bytes) = sided(&left, &right, CHUNK as u64) else {
            panic!("copied");
        };
        assert_eq!(bytes.offset, right.len() as u64 - 1);
        let mut reader = Sided(left.as_slice(), Side::Left);
        assert!(copy(&mut reader, CHUNK as u64).unwrap().is_none());
    }

    #[test]
    fn an_error_says_which_side() {
        let broken = flate2::bufread::GzDecoder::new(&b"no gzip at all"[..]);
        let mut left = Sided(&b""[..], Side::Left);
        let error = pair(&mut left, &mut Sided(broken, Side::Right), 9).unwrap_err();
        assert_eq!(side_of(&error), Some(Side::Right));
        assert_eq!(side_of(&io::ErrorKind::StorageFull.into()), None);
    }
}
