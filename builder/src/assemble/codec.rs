//! Decompressing what packages and kernel modules come compressed with.

use std::io::{self, BufRead, BufReader, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

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
        // A frame of zstd that is not for the decoder (RFC 8878 §3.1.2).
        if let [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] = bytes {
            return Self::Zstd;
        }
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
            Self::Zstd => Box::new(Frames::new(inner, true)),
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
            Self::Zstd => Box::new(Frames::new(inner, false)),
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

/// The frames of a zstd file, one behind the other. Those that are not for the decoder
/// (RFC 8878 §3.1.2) are passed over: `pzstd` and the layers of some containers have them.
/// Checksums are not compared: whatever is decompressed here was compared with its
/// SHA-256 when it was stored.
struct Frames<R: BufRead> {
    inner: R,
    decoder: Box<FrameDecoder>,
    state: State,
    /// Whether only the first is read.
    one: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Within,
    Done,
}

impl<R: BufRead> Frames<R> {
    fn new(inner: R, one: bool) -> Self {
        let mut decoder = Box::new(FrameDecoder::new());
        decoder.set_max_window_size(u64::from(MAX_WINDOW));
        Self {
            inner,
            decoder,
            state: State::Between,
            one,
        }
    }

    /// Goes to the beginning of the next frame that is decompressed, if there is one.
    fn next(&mut self) -> io::Result<State> {
        let invalid = |error: FrameDecoderError| io::Error::new(io::ErrorKind::InvalidData, error);
        loop {
            if self.inner.fill_buf()?.is_empty() {
                return Ok(State::Done);
            }
            match self.decoder.init(&mut self.inner) {
                Ok(()) => return Ok(State::Within),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut self.inner.by_ref().take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(invalid(error)),
            }
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Done => return Ok(0),
                State::Between => {
                    // After an error there is nothing more.
                    self.state = State::Done;
                    self.state = self.next()?;
                }
                State::Within => {
                    while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                        let blocks = BlockDecodingStrategy::UptoBlocks(1);
                        let decoded = self.decoder.decode_blocks(&mut self.inner, blocks);
                        decoded.map_err(io::Error::other)?;
                    }
                    let count = self.decoder.read(buffer)?;
                    if count > 0 {
                        return Ok(count);
                    }
                    self.state = match self.one {
                        true => State::Done,
                        false => State::Between,
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zstd(content: &[u8]) -> Vec<u8> {
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        ruzstd::encoding::compress_to_vec(content, level)
    }

    fn skippable(kind: u8, length: u32, content: &[u8]) -> Vec<u8> {
        let magic = [0x50 + kind, 0x2a, 0x4d, 0x18];
        [magic.as_slice(), &length.to_le_bytes(), content].concat()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let codec = Codec::of_magic(bytes);
        codec.reader(bytes).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn frames_that_are_not_for_the_decoder_are_passed_over() {
        let (one, two) = (zstd(b"one, "), zstd(b"two"));
        let (head, tail) = (skippable(0, 4, b"size"), skippable(15, 0, b""));
        let all = [&head, &tail, &one, &head, &two, &tail, &head].map(|part| part.as_slice());
        let all = all.concat();
        assert_eq!(Codec::of_magic(&all), Codec::Zstd);
        assert_eq!(read(&all).unwrap(), b"one, two");
        let mut first = Vec::new();
        let mut rest = all.as_slice();
        let codec = Codec::Zstd;
        codec.first(&mut rest).read_to_end(&mut first).unwrap();
        assert_eq!(first, b"one, ");
        assert!(rest.starts_with(&head), "{rest:?}");
        assert_eq!(read(&head).unwrap(), b"");
    }

    #[test]
    fn a_frame_that_is_shorter_than_it_says_is_an_error() {
        for length in [5, u32::MAX] {
            let cut = [zstd(b"one"), skippable(1, length, b"size")].concat();
            assert!(read(&cut).is_err(), "{length}");
        }
        let foreign = [zstd(b"one"), b"\x60\x2a\x4d\x18\0\0\0\0".to_vec()].concat();
        assert!(read(&foreign).is_err());
    }
}
