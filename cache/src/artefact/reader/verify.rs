//! Checking content as it is read.

use std::io::{self, Read};

use super::super::zip::directory;
use super::{
    Artefact, ArtefactError, CHUNK, Digest, EntryFlaw, Hasher, INITRAMFS, Placed, Progress, ZipFlaw,
};

/// What a gzip begins with: its magic and the one method there is (RFC 1952, 2.3.1).
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];

/// A zip every byte of which was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// The digest of the zip: its identity.
    pub digest: Digest,
    /// How many entries it has, the manifest included.
    pub entries: usize,
}

/// The sums of an entry's content, ready to go on behind it.
#[derive(Debug, Clone, Default)]
pub struct EntrySums {
    /// CRC-32 (ISO-HDLC, as zip and gzip have it).
    pub crc32: crc32fast::Hasher,
    /// SHA-256 and size.
    pub hasher: Hasher,
}

/// An entry whose sums are wanted, and those once they are known.
type Keep<'a> = Option<(&'a str, Option<EntrySums>)>;

/// Reads the whole zip in order. Each byte is read once, and goes through two hashes at
/// once: the zip's and its entry's.
pub(super) fn check(
    artefact: &Artefact,
    keep: &mut Keep<'_>,
    progress: &dyn Progress,
) -> Result<Checked, ArtefactError> {
    let task = progress.start("checking", &artefact.label, Some(artefact.size));
    let mut whole = Hasher::new();
    let mut buffer = vec![0; CHUNK];
    for placed in &artefact.placed {
        let header = read_again(artefact, placed.offset.into(), &placed.local_header())?;
        whole.update(&header);
        task.advance(header.len() as u64);
        let mut reader = EntryReader::new(artefact, placed);
        let is_kept = (keep.as_ref()).is_some_and(|(name, _)| *name == placed.name);
        reader.keeps = is_kept;
        loop {
            let count = reader.next_chunk(&mut buffer, Some(&mut whole))?;
            if count == 0 {
                break;
            }
            task.advance(count as u64);
        }
        if let Some((_, kept)) = keep
            && is_kept
        {
            *kept = reader.kept.take();
        }
    }
    let end = artefact.placed.last().map_or(0, Placed::end);
    let tail = read_again(artefact, end, &directory(&artefact.placed))?;
    whole.update(&tail);
    task.advance(tail.len() as u64);
    task.finish("checked");
    Ok(Checked {
        digest: whole.finish(),
        entries: artefact.placed.len(),
    })
}

/// Reads the content of every entry, and checks its CRC-32 alone.
pub(super) fn skim(artefact: &Artefact) -> Result<(), ArtefactError> {
    let mut buffer = vec![0; CHUNK];
    for placed in &artefact.placed {
        let (mut at, mut crc32) = (placed.content_at(), crc32fast::Hasher::new());
        while at < placed.end() {
            let left = usize::try_from(placed.end() - at).unwrap_or(usize::MAX);
            let count = left.min(buffer.len());
            let Some(part) = buffer.get_mut(..count) else {
                break;
            };
            artefact
                .source
                .read_exact_at(part, at)
                .map_err(|source| unreadable(artefact, source))?;
            crc32.update(part);
            at += count as u64;
        }
        let (expected, actual) = (placed.crc32, crc32.finalize());
        if expected != actual {
            return Err(artefact.flawed(&placed.name, EntryFlaw::Crc { expected, actual }));
        }
    }
    Ok(())
}

/// Reads bytes that were proven when the zip was opened, and that could have changed
/// since if somebody writes to the file.
fn read_again(artefact: &Artefact, at: u64, expected: &[u8]) -> Result<Vec<u8>, ArtefactError> {
    let mut bytes = vec![0; expected.len()];
    artefact
        .source
        .read_exact_at(&mut bytes, at)
        .map_err(|source| unreadable(artefact, source))?;
    if bytes != expected {
        return Err(ArtefactError::Zip {
            artefact: artefact.label.clone(),
            flaw: ZipFlaw::Changed(at),
        });
    }
    Ok(bytes)
}

fn unreadable(artefact: &Artefact, source: io::Error) -> ArtefactError {
    ArtefactError::Io {
        attempted: "read",
        artefact: artefact.label.clone(),
        source,
    }
}

/// Reads an entry's content, and at its end fails where the content does not have
/// the CRC-32 and the digest that it should have. Errors of [`Read`] hold an
/// [`ArtefactError`].
#[derive(Debug)]
pub struct EntryReader<'a> {
    artefact: &'a Artefact,
    placed: &'a Placed,
    at: u64,
    sums: Option<Sums>,
    /// Whether the sums are to be kept for going on behind the content.
    keeps: bool,
    kept: Option<EntrySums>,
    /// What was found wrong at the end; every further read says it again.
    flaw: Option<EntryFlaw>,
}

#[derive(Debug, Default)]
struct Sums {
    of: EntrySums,
    start: Vec<u8>,
}

impl<'a> EntryReader<'a> {
    pub(super) fn new(artefact: &'a Artefact, placed: &'a Placed) -> Self {
        Self {
            artefact,
            placed,
            at: placed.content_at(),
            sums: Some(Sums::default()),
            keeps: false,
            kept: None,
            flaw: None,
        }
    }

    pub(super) fn placed(&self) -> &'a Placed {
        self.placed
    }

    /// How many bytes are still to come.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.placed.end().saturating_sub(self.at)
    }

    /// Fills a part of `buffer`; 0 at the end, after the content was found right. What
    /// comes goes into `whole` as well.
    fn next_chunk(
        &mut self,
        buffer: &mut [u8],
        whole: Option<&mut Hasher>,
    ) -> Result<usize, ArtefactError> {
        let remaining = usize::try_from(self.remaining()).unwrap_or(usize::MAX);
        let count = remaining.min(buffer.len());
        let Some(part) = buffer.get_mut(..count) else {
            return Ok(0);
        };
        self.artefact
            .source
            .read_exact_at(part, self.at)
            .map_err(|source| unreadable(self.artefact, source))?;
        self.at += count as u64;
        if let Some(sums) = &mut self.sums {
            sums.of.crc32.update(part);
            match whole {
                Some(whole) => Hasher::update_both([&mut sums.of.hasher, whole], [part, part]),
                None => sums.of.hasher.update(part),
            }
            let missing = GZIP.len().saturating_sub(sums.start.len());
            sums.start.extend(part.iter().take(missing));
        }
        // With the last byte, so that a reader who stops there has it checked as well.
        if self.remaining() == 0
            && let Some(sums) = self.sums.take()
        {
            self.kept = self.keeps.then(|| sums.of.clone());
            self.flaw = self.judge(sums);
        }
        match &self.flaw {
            Some(flaw) => Err(self.artefact.flawed(&self.placed.name, flaw.clone())),
            None => Ok(count),
        }
    }

    /// What is wrong with content that was read whole.
    fn judge(&self, sums: Sums) -> Option<EntryFlaw> {
        let (expected, actual) = (self.placed.crc32, sums.of.crc32.finalize());
        if expected != actual {
            return Some(EntryFlaw::Crc { expected, actual });
        }
        // The sizes were compared when the zip was opened.
        let expected = self.artefact.digest_of(self.placed).sha256;
        let actual = sums.of.hasher.finish().sha256;
        if expected != actual {
            return Some(EntryFlaw::Digest { expected, actual });
        }
        let is_gzip = self.placed.name != INITRAMFS || sums.start == GZIP;
        (!is_gzip).then_some(EntryFlaw::NoGzip)
    }
}

impl Read for EntryReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.next_chunk(buffer, None)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}
