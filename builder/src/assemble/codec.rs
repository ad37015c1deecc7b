//! Decompressing what packages and kernel modules come compressed with.

use std::io::{self, BufRead, BufReader, Read};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// The most memory that a decompressor may take for its window, in bytes. xz's
/// largest preset takes 64 MiB, and a zstd of level 19 at most 8.
const MAX_WINDOW: u32 = 128 << 20;

/// A compression format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Not compressed.
    Plain,
    /// gzip (RFC 1952).
    Gzip,
    /// xz.
    Xz,
    /// Zstandard (RFC 8878).
    Zstd,
    /// bzip2.
    Bzip2,
}

impl Codec {
    /// Splits a file name into what it is called and how it is compressed, by its
    /// ending: `.gz`, `.xz`, `.zst`, `.bz2`, or none of these.
    #[must_use]
    pub fn of_name(name: &str) -> (&str, Self) {
        let endings = [
            (".gz", Self::Gzip),
            (".xz", Self::Xz),
            (".zst", Self::Zstd),
            (".bz2", Self::Bzip2),
        ];
        endings
            .into_iter()
            .find_map(|(ending, codec)| Some((name.strip_suffix(ending)?, codec)))
            .unwrap_or((name, Self::Plain))
    }

    /// How something is compressed that begins with these bytes; six are enough.
    #[must_use]
    pub fn of_magic(bytes: &[u8]) -> Self {
        let magics: [(&[u8], Self); 4] = [
            (b"\x1f\x8b", Self::Gzip),
            (b"\xfd7zXZ\0", Self::Xz),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
            (b"BZh", Self::Bzip2),
        ];
        magics
            .into_iter()
            .find(|(magic, _)| bytes.starts_with(magic))
            .map_or(Self::Plain, |(_, codec)| codec)
    }

    /// Reads the first compressed stream of `inner` and leaves what is behind it.
    #[must_use]
    pub fn first<'a>(self, inner: impl BufRead + 'a) -> Box<dyn Read + 'a> {
        match self {
            Self::Plain => Box::new(inner),
            Self::Gzip => Box::new(flate2::bufread::GzDecoder::new(inner)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(
                inner,
                false,
                MAX_WINDOW >> 10,
            )),
            Self::Zstd => Box::new(Frames {
                state: State::Between(Box::new(inner)),
                one: true,
            }),
            Self::Bzip2 => Box::new(bzip2::bufread::BzDecoder::new(inner)),
        }
    }

    /// Reads what `inner` holds in this format, to its end: bytes behind the
    /// compressed stream that are no further stream are an error.
    #[must_use]
    pub fn reader<'a>(self, inner: impl Read + 'a) -> Box<dyn Read + 'a> {
        let inner = BufReader::with_capacity(64 << 10, inner);
        match self {
            Self::Plain => Box::new(inner),
            Self::Gzip => Box::new(gunzip(inner)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(
                inner,
                true,
                MAX_WINDOW >> 10,
            )),
            Self::Zstd => Box::new(Frames {
                state: State::Between(Box::new(inner)),
                one: false,
            }),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(inner)),
        }
    }
}

/// Reads gzip members that follow each other (RFC 1952). They are unpacked in large pieces: where
/// it is asked for small ones, the decoder takes a third longer, as it has to keep what
/// later bytes refer to.
pub fn gunzip<R: BufRead>(inner: R) -> BufReader<flate2::bufread::MultiGzDecoder<R>> {
    BufReader::with_capacity(256 << 10, flate2::bufread::MultiGzDecoder::new(inner))
}

/// The frames of a zstd file, one behind the other. Their checksums are not compared:
/// whatever is decompressed here was compared with its SHA-256 when it was stored.
struct Frames<R: BufRead> {
    state: State<R>,
    /// Whether only the first is read.
    one: bool,
}

enum State<R: BufRead> {
    Between(Box<R>),
    Within(Box<StreamingDecoder<R, FrameDecoder>>),
    Done,
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Done => return Ok(0),
                State::Between(mut inner) => {
                    if inner.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let decoder =
                        StreamingDecoder::new_with_max_window_size(*inner, u64::from(MAX_WINDOW))
                            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                    self.state = State::Within(Box::new(decoder));
                }
                State::Within(mut decoder) => {
                    let count = decoder.read(buffer)?;
                    if count > 0 {
                        self.state = State::Within(decoder);
                        return Ok(count);
                    }
                    if self.one {
                        return Ok(0);
                    }
                    self.state = State::Between(Box::new(decoder.into_inner()));
                }
            }
        }
    }
}
