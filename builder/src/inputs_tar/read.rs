//! Reading an archive.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use fs_err::File;
use lunikernel_cache::regular::open_regular;
use lunikernel_cache::{Cache, CacheError, Digest, Progress, Sha256};
use tar::Header;

use super::header::{BLOCK, header, padding};
use super::{BLOBS, InputsTarError, LOCK, MAX_BLOBS, MAX_TEXT, RECIPE};

/// Where in an archive a file's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The offset of its first byte.
    pub offset: u64,
    /// How many bytes.
    pub size: u64,
}

/// An archive whose every header was read and found right. Its content is checked when
/// it is taken out.
#[derive(Debug)]
pub struct InputsTar {
    path: PathBuf,
    recipe: String,
    lock: String,
    blobs: BTreeMap<Sha256, Span>,
}

/// Whether the file begins as an archive does.
#[must_use]
pub fn is_inputs_tar(path: &Path) -> bool {
    let mut head = [0; BLOCK as usize];
    let read = open_regular(path).and_then(|mut file| file.read_exact(&mut head));
    let first = Header::from_byte_slice(&head);
    read.is_ok() && first.as_ustar().is_some() && first.path_bytes().as_ref() == RECIPE.as_bytes()
}

impl InputsTar {
    /// Reads the headers of the archive at `path`.
    ///
    /// # Errors
    /// [`InputsTarError::Format`] where it is none, [`InputsTarError::Io`] where it cannot be
    /// read.
    pub fn open(path: &Path) -> Result<Self, InputsTarError> {
        let io = |source| InputsTarError::Io {
            attempted: "read",
            path: path.to_owned(),
            source,
        };
        let mut file = open_regular(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let (texts, blobs) = index(&mut file, length, path)?;
        let [recipe, lock] = texts;
        let text = |span: Span| -> Result<String, InputsTarError> {
            let mut bytes = Vec::new();
            part(&file, span)
                .and_then(|mut part| part.read_to_end(&mut bytes))
                .map_err(io)?;
            String::from_utf8(bytes).map_err(|_| InputsTarError::Format {
                path: path.to_owned(),
                at: span.offset,
                why: "there is a text that is not UTF-8".to_owned(),
            })
        };
        Ok(Self {
            recipe: text(recipe)?,
            lock: text(lock)?,
            path: path.to_owned(),
            blobs,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The recipe's text.
    #[must_use]
    pub fn recipe(&self) -> &str {
        &self.recipe
    }

    /// The lock's text.
    #[must_use]
    pub fn lock(&self) -> &str {
        &self.lock
    }

    /// The digests that its content should have, sorted.
    pub fn blobs(&self) -> impl Iterator<Item = Digest> {
        self.blobs.iter().map(|(sha256, span)| Digest {
            sha256: *sha256,
            size: span.size,
        })
    }

    /// Where the blob of that SHA-256 is.
    #[must_use]
    pub fn find(&self, sha256: &Sha256) -> Option<Span> {
        self.blobs.get(sha256).copied()
    }

    /// Copies everything into `cache` that is not there yet, hashing each byte as it
    /// passes, and says how many files that were.
    ///
    /// # Errors
    /// [`InputsTarError::WrongBytes`] where an entry is not what its name says; what came
    /// before it stays in the cache.
    pub fn take_into(
        &self,
        cache: &Cache,
        progress: &dyn Progress,
    ) -> Result<usize, InputsTarError> {
        let io = |source| InputsTarError::Io {
            attempted: "read",
            path: self.path.clone(),
            source,
        };
        let blobs = cache.blobs();
        let wanted: Vec<Digest> = self.blobs().filter(|blob| !blobs.contains(blob)).collect();
        if wanted.is_empty() {
            return Ok(0);
        }
        let total = wanted.iter().map(|blob| blob.size).sum();
        let task = progress.start("unpacking", "archived inputs", Some(total));
        let file = open_regular(&self.path).map_err(io)?;
        for blob in &wanted {
            let Some(span) = self.find(&blob.sha256) else {
                continue;
            };
            let mut from = part(&file, span).map_err(io)?;
            let mut to = blobs.writer()?;
            io::copy(&mut from, &mut to).map_err(io)?;
            let name = format!("{BLOBS}/{}", blob.sha256.hex());
            to.commit_as(blob, &name).map_err(|error| match error {
                CacheError::Mismatch { actual, .. } => InputsTarError::WrongBytes {
                    path: self.path.clone(),
                    name,
                    actual,
                },
                other => other.into(),
            })?;
            task.advance(blob.size);
        }
        task.finish("");
        Ok(wanted.len())
    }
}

/// A part of an open file, as a reader of its own.
fn part(file: &File, span: Span) -> io::Result<impl Read> {
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(span.offset))?;
    Ok(file.take(span.size))
}

/// What of an archive's index is kept: where recipe and lock are, and all else.
type Index = ([Span; 2], BTreeMap<Sha256, Span>);

/// Reads all headers of an archive of `length` bytes; `path` is only for messages.
///
/// # Errors
/// [`InputsTarError::Format`] where something is not as the writer writes it: an entry of
/// another name or kind, out of order or twice, a size beyond the end, bytes between or
/// after the entries.
pub fn index(
    file: &mut (impl Read + Seek),
    length: u64,
    path: &Path,
) -> Result<Index, InputsTarError> {
    let mut reader = Reader {
        file,
        length,
        path,
        at: 0,
    };
    let recipe = reader.text(RECIPE)?;
    let lock = reader.text(LOCK)?;
    let mut blobs = BTreeMap::new();
    while let Some((name, span)) = reader.entry()? {
        let sha256 = name
            .strip_prefix(BLOBS)
            .and_then(|name| name.strip_prefix('/'))
            .filter(|hex| hex.len() == 64 && !hex.contains(|c: char| c.is_ascii_uppercase()))
            .and_then(|hex| hex.parse::<Sha256>().ok())
            .ok_or_else(|| reader.wrong(format!("`{name}` is no `{BLOBS}/` and 64 digits")))?;
        if let Some((last, _)) = blobs.last_key_value()
            && *last >= sha256
        {
            let why = format!("`{name}` is there twice, or not in its place");
            return Err(reader.wrong(why));
        }
        if blobs.len() == MAX_BLOBS {
            return Err(reader.wrong(format!("there are more than {MAX_BLOBS} entries")));
        }
        blobs.insert(sha256, span);
    }
    Ok(([recipe, lock], blobs))
}

/// Goes from header to header.
struct Reader<'a, F> {
    file: &'a mut F,
    length: u64,
    path: &'a Path,
    at: u64,
}

impl<F: Read + Seek> Reader<'_, F> {
    /// The next entry; none at the end, after which nothing follows.
    fn entry(&mut self) -> Result<Option<(String, Span)>, InputsTarError> {
        let block = self.block()?;
        if block.iter().all(|byte| *byte == 0) {
            self.at += BLOCK;
            let second = self.block()?;
            self.at += BLOCK;
            if second.iter().any(|byte| *byte != 0) || self.at != self.length {
                return Err(self.wrong("its end is followed by more"));
            }
            return Ok(None);
        }
        let found = Header::from_byte_slice(&block);
        let name = String::from_utf8_lossy(&found.path_bytes()).into_owned();
        let size = found.entry_size().unwrap_or(u64::MAX);
        let right = header(&name, size).is_ok_and(|right| right.as_bytes() == found.as_bytes());
        if !right {
            return Err(self.wrong("there is no header as the format has it"));
        }
        let offset = self.at + BLOCK;
        let padding = padding(size);
        let after = offset
            .checked_add(size)
            .and_then(|end| end.checked_add(padding))
            .filter(|after| *after <= self.length)
            .ok_or_else(|| self.wrong(format!("`{name}` goes on beyond the end")))?;
        self.at = after - padding;
        let mut rest = vec![0; usize::try_from(padding).unwrap_or_default()];
        self.read(&mut rest)?;
        if rest.iter().any(|byte| *byte != 0) {
            return Err(self.wrong(format!("`{name}` is followed by something")));
        }
        self.at = after;
        Ok(Some((name, Span { offset, size })))
    }

    /// The next entry, which must be a text of that name.
    fn text(&mut self, expected: &str) -> Result<Span, InputsTarError> {
        match self.entry()? {
            Some((name, span)) if name == expected && span.size <= MAX_TEXT => Ok(span),
            Some((name, _)) if name == expected => {
                Err(self.wrong(format!("`{name}` is larger than {MAX_TEXT} bytes")))
            }
            _ => Err(self.wrong(format!("`{expected}` was expected"))),
        }
    }

    fn block(&mut self) -> Result<[u8; BLOCK as usize], InputsTarError> {
        let mut block = [0; BLOCK as usize];
        self.read(&mut block)?;
        Ok(block)
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), InputsTarError> {
        let read = self.file.seek(SeekFrom::Start(self.at));
        match read.and_then(|_| self.file.read_exact(into)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.wrong("it ends too early"))
            }
            Err(source) => Err(InputsTarError::Io {
                attempted: "read",
                path: self.path.to_owned(),
                source,
            }),
        }
    }

    fn wrong(&self, why: impl Into<String>) -> InputsTarError {
        InputsTarError::Format {
            path: self.path.to_owned(),
            at: self.at,
            why: why.into(),
        }
    }
}
