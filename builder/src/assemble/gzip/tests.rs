use std::io::Read as _;
use std::process::{Command, Stdio};

use lunikernel_cache::Digest;

use super::*;

/// Some bytes that compress about as well as programs do.
fn sample(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9u32;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        match state % 4 {
            0 => bytes.extend_from_slice(&state.to_le_bytes()),
            1 => bytes.extend_from_slice(b"the same words again and again "),
            2 => bytes.extend(std::iter::repeat_n(0, (state >> 26) as usize)),
            _ => {
                let from = bytes.len().saturating_sub((state >> 12) as usize % 40_000);
                let to = bytes.len().min(from + (state >> 24) as usize % 60);
                bytes.extend_from_within(from..to);
            }
        }
    }
    bytes.truncate(length);
    bytes
}

fn gzip(bytes: &[u8], threads: usize, piece: usize) -> Vec<u8> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(|| {
        let mut writer = GzipWriter::new(Vec::new()).unwrap();
        for piece in bytes.chunks(piece) {
            writer.write_all(piece).unwrap();
        }
        writer.finish().unwrap()
    })
}

#[test]
fn threads_and_pieces_do_not_show() {
    // With one thread a batch has two blocks, with four it has eight: full batches,
    // full blocks and odd ends all occur.
    for length in [0, 1, BLOCK - 1, BLOCK, 2 * BLOCK, 5 * BLOCK + 12_345] {
        let bytes = sample(length);
        let one = gzip(&bytes, 1, usize::MAX);
        assert!(one == gzip(&bytes, 4, 77_777), "{length}");
        assert!(one == gzip(&bytes, 3, 4096), "{length}");
        let mut back = Vec::new();
        // Not a decoder of many members: it has to be one.
        let mut decoder = flate2::read::GzDecoder::new(one.as_slice());
        decoder.read_to_end(&mut back).unwrap();
        assert!(back == bytes, "{length}");
        assert_eq!(
            decoder.into_inner().len(),
            0,
            "something is behind the member"
        );
    }
}

/// Changes when the compressor's output does, and with it the digest of every
/// artefact there is: such an update must be a decision.
#[test]
fn the_compressor_is_the_one_we_know() {
    let bytes = gzip(&sample(3 * BLOCK + 1), 2, 1 << 16);
    insta::assert_snapshot!(Digest::of(&bytes), @"sha256:92e98c352583419a2761b8e511020f4ce3b8baa23429f6125ebc71a9658e33c5 (299889 bytes)");
}

#[test]
fn the_tool_gzip_reads_it() {
    let bytes = sample(2 * BLOCK + 5);
    let mut child = Command::new("gzip")
        .args(["-d", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let compressed = gzip(&bytes, 2, 1 << 16);
    let writer = std::thread::spawn(move || stdin.write_all(&compressed));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success() && output.stdout == bytes);
}

#[test]
fn the_dictionary_is_used() {
    // Twice the same random megabyte's end and beginning: without the 32 KiB before
    // it the second block could not refer to them.
    let random: Vec<u8> = (0u32..)
        .flat_map(|number| *lunikernel_cache::Sha256::of(&number.to_le_bytes()).as_bytes())
        .take(BLOCK)
        .collect();
    let mut bytes = random.clone();
    bytes.extend_from_slice(&random[BLOCK - 30_000..]);
    let size = gzip(&bytes, 1, usize::MAX).len();
    assert!(size < BLOCK + 2_000, "{size}");
}
