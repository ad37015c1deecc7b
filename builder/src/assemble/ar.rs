//! Reading `ar` archives, as strictly as the format of `.deb` allows (deb(5), ar(5)).

use std::io::{self, Read};

const MAGIC: &[u8; 8] = b"!<arch>\n";

/// An `ar` archive that is read from front to back.
#[derive(Debug)]
pub struct Archive<R> {
    inner: R,
    /// How much of the current member's content has not been read.
    left: u64,
    /// Whether a newline follows the content to make its length even.
    padded: bool,
}

/// The part of a member's header that means something in a `.deb`. Time stamp,
/// owner and mode are whoever's who packed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name, without padding and without the slash that some tools end it with.
    pub name: String,
    /// The size of the content in bytes.
    pub size: u64,
}

/// An `ar` archive is broken.
#[derive(Debug, thiserror::Error)]
pub enum ArError {
    /// It does not begin as one.
    #[error("it does not begin with `!<arch>` as an ar archive does")]
    Magic,
    /// A member's header makes no sense.
    #[error("an ar member's header has {field} {found:?}, expected {expected}")]
    Header {
        /// Which field.
        field: &'static str,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// It ends too early, or could not be read.
    #[error("could not read {what} of an ar archive")]
    Read {
        /// What was being read.
        what: &'static str,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

impl<R: Read> Archive<R> {
    /// Begins to read an archive.
    ///
    /// # Errors
    /// [`ArError::Magic`] where `inner` holds something else.
    pub fn new(mut inner: R) -> Result<Self, ArError> {
        let mut magic = [0; 8];
        inner.read_exact(&mut magic).map_err(|source| {
            if source.kind() == io::ErrorKind::UnexpectedEof {
                ArError::Magic
            } else {
                ArError::Read {
                    what: "the beginning",
                    source,
                }
            }
        })?;
        if &magic != MAGIC {
            return Err(ArError::Magic);
        }
        Ok(Self {
            inner,
            left: 0,
            padded: false,
        })
    }

    /// Skips what is left of the current member and goes to the next one; `None` at
    /// the end. Its content is then read from the archive itself.
    ///
    /// # Errors
    /// [`ArError`] where a header is broken, or the content shorter than announced.
    pub fn next_member(&mut self) -> Result<Option<Member>, ArError> {
        let at = |what| move |source| ArError::Read { what, source };
        io::copy(self, &mut io::sink()).map_err(at("a member"))?;
        if self.padded {
            let mut newline = [0];
            self.inner
                .read_exact(&mut newline)
                .map_err(at("the padding"))?;
            if &newline != b"\n" {
                return Err(header("padding", "a newline", &newline));
            }
        }
        let mut bytes = [0; 60];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.inner.read(&mut bytes[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(at("a header")(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(at("a header")(error)),
            }
        }
        let (name, size, end) = (&bytes[..16], &bytes[48..58], &bytes[58..]);
        if end != b"`\n" {
            return Err(header("end", "a backquote and a newline", end));
        }
        let name = str::from_utf8(name)
            .ok()
            .map(|name| name.trim_end_matches(' '))
            .map(|name| name.strip_suffix('/').unwrap_or(name))
            .filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()))
            .ok_or_else(|| header("name", "printable ASCII", name))?
            .to_owned();
        let size = str::from_utf8(size)
            .ok()
            .map(|size| size.trim_end_matches(' '))
            .filter(|size| !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|size| size.parse().ok())
            .ok_or_else(|| header("size", "a decimal number", size))?;
        self.left = size;
        self.padded = size % 2 == 1;
        Ok(Some(Member { name, size }))
    }
}

fn header(field: &'static str, expected: &'static str, found: &[u8]) -> ArError {
    ArError::Header {
        field,
        expected,
        found: String::from_utf8_lossy(found).into_owned(),
    }
}

impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most == 0 {
            return Ok(0);
        }
        match self.inner.read(&mut buffer[..most])? {
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
