use std::io::Read as _;
use std::process::{Command, Stdio};

use super::*;
use crate::samples::{mixed, noise, program};

fn gzip(bytes: &[u8], threads: usize, piece: usize) -> Vec<u8> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(|| {
        let mut writer = GzipWriter::new(Vec::new()).unwrap();
        for piece in bytes.chunks(piece) {
            writer.write_all(piece).unwrap();
            writer.flush().unwrap();
        }
        writer.finish().unwrap()
    })
}

#[test]
fn threads_and_pieces_do_not_show() {
    // With one thread a batch has two blocks, with four it has eight: full batches,
    // full blocks and odd ends all occur.
    for length in [0, 1, BLOCK - 1, BLOCK, 2 * BLOCK, 5 * BLOCK + 12_345] {
        let bytes = program(length);
        let one = gzip(&bytes, 1, usize::MAX);
        assert!(one == gzip(&bytes, 4, 77_777), "{length}");
        assert!(one == gzip(&bytes, 3, 4096), "{length}");
        let mut back = Vec::new();
        // Not a decoder of many members: it has to be one.
        let mut decoder = flate2::bufread::GzDecoder::new(one.as_slice());
        decoder.read_to_end(&mut back).unwrap();
        assert!(back == bytes, "{length}");
        assert_eq!(
            decoder.into_inner().len(),
            0,
            "something is behind the member"
        );
    }
}

/// Changes when the encoder's output does, and with it the digest of every artefact
/// there is: such a change must be a decision.
#[test]
fn the_encoder_is_the_one_we_know() {
    let mut bytes = program(3 * BLOCK + 1);
    bytes.extend(mixed());
    let packed = gzip(&bytes, 2, 1 << 16);
    let checksum = crc32fast::hash(&packed);
    assert_eq!((packed.len(), checksum), (803_862, 0xf4adbfbc));
}

/// Every program that unpacks gzip, of those that are here; one must be.
#[test]
fn other_programs_read_it() {
    let bytes = [program(2 * BLOCK + 5), mixed()].concat();
    let packed = gzip(&bytes, 2, 1 << 16);
    let python =
        "import gzip,sys;sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))";
    let programs: [&[&str]; 4] = [
        &["gzip", "-dc"],
        &["python3", "-c", python],
        &["busybox", "gunzip", "-c"],
        &["7z", "x", "-tgzip", "-si", "-so"],
    ];
    let mut asked = 0;
    for argv in programs {
        let mut command = Command::new(argv[0]);
        command.args(&argv[1..]).stderr(Stdio::null());
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut child) = child else { continue };
        let mut stdin = child.stdin.take().unwrap();
        let packed = packed.clone();
        let writer = std::thread::spawn(move || stdin.write_all(&packed));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(
            output.status.success() && output.stdout == bytes,
            "{argv:?}"
        );
        asked += 1;
    }
    assert!(asked > 0);
}

/// However much is written at once.
#[test]
fn memory_is_bounded() {
    let bytes = program(8 * BLOCK);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
    let held = pool.build().unwrap().install(|| {
        let mut writer = GzipWriter::new(io::sink()).unwrap();
        writer.write_all(&bytes).unwrap();
        writer.pending.capacity()
    });
    assert!(held <= 4 * BLOCK, "{held}");
}

#[test]
fn what_was_before_a_block_is_used() {
    // Twice the same noise: without the 32 KiB before it the second block could not refer
    // to them. Of 64 values, so that it is not dense.
    let random: Vec<u8> = noise(BLOCK).iter().map(|it| it % 64).collect();
    let alone = gzip(&random, 1, usize::MAX).len();
    let mut bytes = random.clone();
    bytes.extend_from_slice(&random[BLOCK - 30_000..]);
    let more = gzip(&bytes, 1, usize::MAX).len() - alone;
    assert!(more < 2_000, "{more}");
}
