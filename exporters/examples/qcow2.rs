//! Converts a raw disk to a qcow2 image, as `qemu-img convert -f raw -O qcow2` does.
//!
//! ```text
//! qcow2 [-c] RAW QCOW2
//! ```
//!
//! With `-c` the image is compressed. As `qemu-img` it begins the image under its name, and
//! does not wait until it is on the disk; `luni export` does better (`Output`).

use std::error::Error;
use std::path::Path;

use lunikernel_exporters::Disk;
use lunikernel_exporters::qcow2::{self, Clusters};
use lunikernel_exporters::sink::SparseFile;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (clusters, raw, image) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..]
    {
        [raw, image] => (Clusters::Plain, raw, image),
        ["-c", raw, image] => (Clusters::Compressed, raw, image),
        _ => return Err("qcow2 [-c] RAW QCOW2".into()),
    };
    let disk = Disk::of_file(Path::new(raw))?;
    let mut file = SparseFile::create(Path::new(image))?;
    qcow2::write(&disk, clusters, &mut file)?;
    file.finish()?;
    Ok(())
}
