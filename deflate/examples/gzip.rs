//! `gzip` with the encoder of Lunikernels: reads standard input, writes standard output.
//!
//! ```sh
//! cargo run --release -p lunikernel-deflate --example gzip <FILE >FILE.gz
//! ```

use std::io;

use lunikernel_deflate::GzipWriter;

fn main() -> io::Result<()> {
    let mut gzip = GzipWriter::new(io::stdout().lock())?;
    io::copy(&mut io::stdin().lock(), &mut gzip)?;
    gzip.finish().map(drop)
}
