//! The encoder of deflate: whatever it is given, another decoder gives it back.

use std::io::{Read as _, Write as _};

use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use lunikernel_deflate::{GzipWriter, WINDOW, raw, zlib};

/// Any bytes; the first two say how far back it may refer.
pub(crate) fn deflate(data: &[u8]) -> bool {
    let reach = match data {
        [one, two, ..] => usize::from(u16::from_le_bytes([*one, *two])) % WINDOW + 1,
        _ => WINDOW,
    };
    let mut back = Vec::new();
    let stream = raw(data, reach);
    let mut decoder = DeflateDecoder::new(stream.as_slice());
    decoder.read_to_end(&mut back).expect("it is deflate");
    assert!(back == data && decoder.into_inner().is_empty());
    back.clear();
    let stream = zlib(data);
    let mut decoder = ZlibDecoder::new(stream.as_slice());
    decoder.read_to_end(&mut back).expect("it is zlib");
    assert!(back == data && decoder.into_inner().is_empty());
    back.clear();
    let mut gzip = GzipWriter::new(Vec::new()).expect("a vector takes everything");
    gzip.write_all(data).expect("a vector takes everything");
    let stream = gzip.finish().expect("a vector takes everything");
    let mut decoder = GzDecoder::new(stream.as_slice());
    decoder.read_to_end(&mut back).expect("it is gzip");
    assert!(back == data && decoder.into_inner().is_empty());
    true
}
