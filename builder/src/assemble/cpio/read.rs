//! Reading newc archives that anyone may have made, for inspecting and comparing.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read};

use lunikernel_cache::HashingReader;

use super::error::ReadError;
use super::member::{Header, Member};
use super::{HEADER_SIZE, MAGIC, PATH_MAX, TRAILER, file_type, padding};
use crate::assemble::codec::gunzip;
use crate::assemble::member::check_path;

/// How many members one initramfs may have.
const MAX_MEMBERS: u64 = 1 << 20;

/// How much the names in one archive may take, in bytes: each is kept, to be compared
/// with those behind it.
const MAX_NAMES: u64 = 256 << 20;

/// Reads archives that follow each other, member by member.
#[derive(Debug)]
pub struct CpioReader<R> {
    inner: Counting<R>,
    segment: u32,
    members: u64,
    seen: BTreeSet<String>,
    /// How many bytes `seen` has.
    names: u64,
    /// What is left of the current member's content.
    left: u64,
    finished: bool,
    /// Whether only the first archive is read.
    one: bool,
}

#[derive(Debug)]
struct Counting<R> {
    inner: R,
    offset: u64,
    limit: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// Reads the archives of an initramfs: gzip members that follow each other, each
/// ending with an archive's end. `limit` is as for [`CpioReader::new`].
pub fn read_gzip<R: BufRead>(
    inner: R,
    limit: u64,
) -> CpioReader<BufReader<flate2::bufread::MultiGzDecoder<R>>> {
    CpioReader::new(gunzip(inner), limit)
}

impl<R: Read> CpioReader<R> {
    /// Reads archives that are not compressed, at most `limit` bytes of them.
    pub fn new(inner: R, limit: u64) -> Self {
        Self {
            inner: Counting {
                inner,
                offset: 0,
                limit,
            },
            segment: 0,
            members: 0,
            seen: BTreeSet::new(),
            names: 0,
            left: 0,
            finished: false,
            one: false,
        }
    }

    /// Reads the first archive, at most `limit` bytes of it, and leaves what is behind
    /// it in `inner`: other archives may be, compressed in another way.
    pub(crate) fn one(inner: R, limit: u64) -> Self {
        Self {
            one: true,
            ..Self::new(inner, limit)
        }
    }

    /// How many bytes were read.
    pub(crate) fn offset(&self) -> u64 {
        self.inner.offset
    }

    /// Skips what is left of the current member and goes to the next one; `None` at
    /// the end. Its content is then read from this reader itself.
    ///
    /// # Errors
    /// [`ReadError`], after which nothing more can be read.
    pub fn next_header(&mut self) -> Result<Option<Header>, ReadError> {
        if self.finished {
            return Ok(None);
        }
        self.finished = true;
        let found = self.advance()?;
        self.finished = found.is_none();
        Ok(found)
    }

    /// Like [`CpioReader::next_header`], reading and hashing the content too.
    ///
    /// # Errors
    /// As [`CpioReader::next_header`].
    pub fn next_member(&mut self) -> Result<Option<Member>, ReadError> {
        let Some(header) = self.next_header()? else {
            return Ok(None);
        };
        let is_symlink = header.mode & file_type::MASK == file_type::SYMLINK;
        let read_error = |source| ReadError::Read {
            what: format!("the content of `{}`", header.path),
            offset: header.content_offset,
            source,
        };
        let mut target = Vec::new();
        let mut content = HashingReader::new(&mut *self);
        if is_symlink {
            content.read_to_end(&mut target).map_err(read_error)?;
        } else {
            io::copy(&mut content, &mut io::sink()).map_err(read_error)?;
        }
        let content = content.finish();
        let target = if is_symlink {
            let target = String::from_utf8(target)
                .map_err(|_| refused(&header.path, header.offset, "its target is not UTF-8"))?;
            Some(target)
        } else {
            None
        };
        Ok(Some(Member {
            header,
            content,
            target,
        }))
    }

    fn advance(&mut self) -> Result<Option<Header>, ReadError> {
        let skipped = io::copy(self, &mut io::sink());
        skipped.map_err(|source| self.failed("the content of a member", source))?;
        self.zeros(4)?;
        loop {
            if self.inner.offset > self.inner.limit {
                return Err(ReadError::Bomb {
                    limit: self.inner.limit,
                    unit: "bytes",
                });
            }
            let Some(bytes) = self.header_bytes()? else {
                return Ok(None);
            };
            let offset = self.inner.offset - HEADER_SIZE as u64;
            let header = self.parse(offset, &bytes)?;
            if let Some(header) = header {
                return Ok(Some(header));
            }
            if self.one {
                return Ok(None);
            }
            self.segment += 1;
            self.seen.clear();
            self.names = 0;
        }
    }

    /// The bytes of the next header. Where an archive may begin, zeros are skipped,
    /// four at a time, and the end is no error.
    fn header_bytes(&mut self) -> Result<Option<[u8; HEADER_SIZE]>, ReadError> {
        let at_start = self.seen.is_empty();
        let mut bytes = [0; HEADER_SIZE];
        loop {
            let first = self.fill(&mut bytes[..4], at_start)?;
            if !first {
                if self.segment == 0 {
                    return Err(self.failed(
                        "an archive's beginning",
                        io::ErrorKind::UnexpectedEof.into(),
                    ));
                }
                return Ok(None);
            }
            if !(at_start && self.segment > 0 && bytes[..4] == [0; 4]) {
                break;
            }
            if self.inner.offset > self.inner.limit {
                return Err(ReadError::Bomb {
                    limit: self.inner.limit,
                    unit: "bytes",
                });
            }
        }
        self.fill(&mut bytes[4..], false)?;
        Ok(Some(bytes))
    }

    /// Fills `bytes`; false where nothing at all comes and that is allowed.
    fn fill(&mut self, bytes: &mut [u8], may_end: bool) -> Result<bool, ReadError> {
        let mut filled = 0;
        while filled < bytes.len() {
            let rest = bytes.get_mut(filled..).unwrap_or_default();
            match self.inner.read(rest) {
                Ok(0) if filled == 0 && may_end => return Ok(false),
                Ok(0) => {
                    return Err(self.failed("a header", io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("a header", error)),
            }
        }
        Ok(true)
    }

    /// Reads zeros up to the next multiple of `to`.
    fn zeros(&mut self, to: u64) -> Result<(), ReadError> {
        let mut bytes = [0; 4];
        let count = padding(self.inner.offset, to) as usize;
        let offset = self.inner.offset;
        let bytes = bytes.get_mut(..count).unwrap_or_default();
        self.fill(bytes, false)?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Err(ReadError::Format {
                offset,
                expected: "zeros that fill up to a multiple of four",
                found: format!("{bytes:02x?}"),
            });
        }
        Ok(())
    }

    fn failed(&self, what: &str, source: io::Error) -> ReadError {
        ReadError::Read {
            what: what.to_owned(),
            offset: self.inner.offset,
            source,
        }
    }

    /// Reads the name that follows and checks everything; `None` for the trailer.
    fn parse(
        &mut self,
        offset: u64,
        bytes: &[u8; HEADER_SIZE],
    ) -> Result<Option<Header>, ReadError> {
        let format = |expected, found: &[u8]| ReadError::Format {
            offset,
            expected,
            found: format!("`{}`", found.escape_ascii()),
        };
        let (magic, digits) = bytes.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(format("a newc header (`070701`)", magic));
        }
        let mut fields = [0u32; 13];
        for (field, text) in fields.iter_mut().zip(digits.chunks(8)) {
            *field = str::from_utf8(text)
                .ok()
                .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
                .and_then(|text| u32::from_str_radix(text, 16).ok())
                .ok_or_else(|| format("eight hexadecimal digits", text))?;
        }
        let [
            inode,
            mode,
            uid,
            gid,
            links,
            mtime,
            size,
            major,
            minor,
            own_major,
            own_minor,
            name_size,
            checksum,
        ] = fields;
        let name_size = name_size as usize;
        if !(2..=PATH_MAX).contains(&name_size) || checksum != 0 {
            return Err(ReadError::Format {
                offset,
                expected: "a name of 1 to 4095 bytes and no checksum",
                found: format!("a name of {name_size} bytes with its NUL, checksum {checksum}"),
            });
        }
        let mut name = vec![0; name_size];
        self.fill(&mut name, false)?;
        self.zeros(4)?;
        let name = name
            .split_last()
            .filter(|(last, name)| **last == 0 && !name.contains(&0))
            .and_then(|(_, name)| str::from_utf8(name).ok())
            .ok_or_else(|| format("a name in UTF-8 with one NUL at its end", &name))?;
        let refused = |why: String| refused(name, offset, why);
        if name == TRAILER {
            return if size == 0 {
                Ok(None)
            } else {
                Err(refused("the trailer has content".to_owned()))
            };
        }
        self.members += 1;
        if self.members > MAX_MEMBERS {
            return Err(ReadError::Bomb {
                limit: MAX_MEMBERS,
                unit: "members",
            });
        }
        let kind = mode & file_type::MASK;
        let is_folder = kind == file_type::FOLDER;
        let path =
            check_path(name.strip_prefix("./").unwrap_or(name), is_folder).map_err(refused)?;
        self.names += path.len() as u64;
        if self.names > MAX_NAMES {
            return Err(ReadError::Bomb {
                limit: MAX_NAMES,
                unit: "bytes of names",
            });
        }
        if !self.seen.insert(path.clone()) {
            return Err(refused("there is another member of that name".to_owned()));
        }
        match kind {
            file_type::FILE => {}
            file_type::SYMLINK if (1..PATH_MAX as u32).contains(&size) => {}
            file_type::SYMLINK => {
                return Err(refused(format!("its target has {size} bytes")));
            }
            file_type::FOLDER | file_type::CHAR | file_type::BLOCK | file_type::FIFO
                if size == 0 => {}
            file_type::FOLDER | file_type::CHAR | file_type::BLOCK | file_type::FIFO => {
                return Err(refused("it has content, and it is no file".to_owned()));
            }
            _ => return Err(refused(format!("its mode {mode:o} has no known file type"))),
        }
        if mode & !(file_type::MASK | 0o7777) != 0 {
            return Err(refused(format!("its mode {mode:o} has unknown bits")));
        }
        if u64::from(size) > self.inner.limit.saturating_sub(self.inner.offset) {
            return Err(ReadError::Bomb {
                limit: self.inner.limit,
                unit: "bytes",
            });
        }
        self.left = u64::from(size);
        Ok(Some(Header {
            path,
            segment: self.segment,
            offset,
            content_offset: self.inner.offset,
            inode,
            mode,
            uid,
            gid,
            links,
            mtime,
            size,
            device: (major, minor),
            own_device: (own_major, own_minor),
        }))
    }
}

fn refused(member: &str, offset: u64, why: impl Into<String>) -> ReadError {
    ReadError::Refused {
        member: member.escape_debug().to_string(),
        offset,
        why: why.into(),
    }
}

impl<R: Read> Read for CpioReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let part = buffer.get_mut(..most).unwrap_or_default();
        if part.is_empty() {
            return Ok(0);
        }
        match self.inner.read(part)? {
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("it ends {} bytes before the member does", self.left),
            )),
            count => {
                self.left -= count as u64;
                Ok(count)
            }
        }
    }
}
