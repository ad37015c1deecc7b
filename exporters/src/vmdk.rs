//! VMware's streamOptimized VMDK, which clouds and hypervisors import (VMware, *Virtual Disk
//! Format 5.0*).
//!
//! It is written from front to back: a header and a descriptor, then compressed grains
//! with their tables between them, then the directory of the tables and the header again,
//! which knows by now where the directory is.

use std::io::{self, Write};

use lunikernel_deflate::zlib;

use crate::disk::Disk;
use crate::error::WriteError;
use crate::identity::Identity;
use crate::sink::{Counted, Sink};

const FORMAT: &str = "VMDK image";
const SECTOR: u64 = 512;
/// 128 sectors, the only size of grains that streamOptimized has.
const GRAIN: u64 = 64 << 10;
const GRAIN_SECTORS: u64 = GRAIN / SECTOR;
/// How many grains one table is for.
const PER_TABLE: u64 = 512;
/// Header and descriptor, in sectors: as much as others reserve.
const OVERHEAD: u64 = 128;
/// Places are kept as 32-bit numbers of sectors, and the image may be somewhat larger
/// than the disk.
pub(crate) const MAX_SIZE: u64 = 2000 << 30;
/// In place of the directory's place: it is in the header at the end.
const AT_END: u64 = u64::MAX;

/// What a marker announces.
const TABLE: u32 = 1;
const DIRECTORY: u32 = 2;
const FOOTER: u32 = 3;

/// Writes the image. Grains that are all zero are left out. The content id comes from
/// `identity`, labelled `vmdk content`.
///
/// # Errors
/// [`WriteError::Size`] where the disk is empty, no multiple of 512 bytes or larger than
/// 2000 GiB; else where the content cannot be read or the result not be written.
pub fn write(disk: &Disk, identity: &Identity, out: &mut impl Sink) -> Result<(), WriteError> {
    let size = disk.size();
    if size == 0 || size > MAX_SIZE || !size.is_multiple_of(SECTOR) {
        return Err(WriteError::Size {
            format: FORMAT,
            size,
            expected: "a multiple of 512, at most 2000 GiB, and not 0",
        });
    }
    let failed = WriteError::write(FORMAT);
    let sectors = size / SECTOR;
    let mut image = Image {
        out: Counted::new(out),
        directory: vec![0; sectors.div_ceil(GRAIN_SECTORS * PER_TABLE) as usize],
        table: None,
    };
    image.begin(sectors, identity).map_err(failed)?;
    let mut blocks = disk.blocks(GRAIN as usize);
    while let Some((number, bytes)) = blocks.next_block().map_err(WriteError::Read)? {
        image.put(number, bytes).map_err(failed)?;
    }
    image.finish(sectors).map_err(failed)
}

struct Image<'a, S: Sink> {
    out: Counted<'a, S>,
    /// Where the tables are, in sectors.
    directory: Vec<u32>,
    /// The table that is being filled, and its number.
    table: Option<(u64, Vec<u32>)>,
}

impl<S: Sink> Image<'_, S> {
    fn begin(&mut self, sectors: u64, identity: &Identity) -> io::Result<()> {
        self.out.write_all(&header(sectors, AT_END))?;
        self.out
            .write_all(descriptor(sectors, identity).as_bytes())?;
        self.out.align(OVERHEAD * SECTOR)
    }

    fn put(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        if self
            .table
            .as_ref()
            .is_some_and(|(at, _)| *at != number / PER_TABLE)
        {
            self.put_table()?;
        }
        let at = self.sector();
        let packed = zlib(bytes);
        self.out
            .write_all(&(number * GRAIN_SECTORS).to_le_bytes())?;
        self.out.write_all(&(packed.len() as u32).to_le_bytes())?;
        self.out.write_all(&packed)?;
        self.out.align(SECTOR)?;
        let empty = || (number / PER_TABLE, vec![0; PER_TABLE as usize]);
        let (_, table) = self.table.get_or_insert_with(empty);
        if let Some(place) = table.get_mut((number % PER_TABLE) as usize) {
            *place = at;
        }
        Ok(())
    }

    fn put_table(&mut self) -> io::Result<()> {
        let Some((number, table)) = self.table.take() else {
            return Ok(());
        };
        let at = self.put_marked(TABLE, &numbers(&table))?;
        if let Some(place) = self.directory.get_mut(number as usize) {
            *place = at;
        }
        Ok(())
    }

    /// Puts something behind a marker; gives the sector in which it begins.
    fn put_marked(&mut self, kind: u32, bytes: &[u8]) -> io::Result<u32> {
        let sectors = (bytes.len() as u64).div_ceil(SECTOR);
        self.out.write_all(&sectors.to_le_bytes())?;
        self.out.write_all(&[0; 4])?;
        self.out.write_all(&kind.to_le_bytes())?;
        self.out.align(SECTOR)?;
        let at = self.sector();
        self.out.write_all(bytes)?;
        self.out.align(SECTOR)?;
        Ok(at)
    }

    fn finish(mut self, sectors: u64) -> io::Result<()> {
        self.put_table()?;
        let directory = numbers(&std::mem::take(&mut self.directory));
        let at = self.put_marked(DIRECTORY, &directory)?;
        self.put_marked(FOOTER, &header(sectors, at.into()))?;
        // A marker of zeros ends the stream.
        self.out.skip(SECTOR)?;
        self.out.flush()
    }

    /// The sector that comes next. That it fits follows from the limit on disks.
    fn sector(&self) -> u32 {
        (self.out.at / SECTOR) as u32
    }
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|it| it.to_le_bytes()).collect()
}

fn header(sectors: u64, directory_at: u64) -> Vec<u8> {
    let mut header = b"KDMV".to_vec();
    header.extend_from_slice(&3u32.to_le_bytes());
    // Line ends can be tested, grains are compressed, there are markers.
    header.extend_from_slice(&0x3_0001u32.to_le_bytes());
    for number in [sectors, GRAIN_SECTORS, 1, DESCRIPTOR_SECTORS] {
        header.extend_from_slice(&number.to_le_bytes());
    }
    header.extend_from_slice(&(PER_TABLE as u32).to_le_bytes());
    for number in [0, directory_at, OVERHEAD] {
        header.extend_from_slice(&number.to_le_bytes());
    }
    header.push(0); // It was shut down properly.
    header.extend_from_slice(b"\n \r\n");
    header.extend_from_slice(&1u16.to_le_bytes()); // Deflate.
    header.resize(SECTOR as usize, 0);
    header
}

/// Room for the descriptor, in sectors.
const DESCRIPTOR_SECTORS: u64 = 20;

/// The text that says what the image is. Readers do not look for the file that it names,
/// because it is in that file itself.
fn descriptor(sectors: u64, identity: &Identity) -> String {
    let cylinders = (sectors / (255 * 63)).min(65535);
    let content = identity.number("vmdk content");
    let long = identity.guid("vmdk content").to_string().replace('-', "");
    format!(
        "# Disk DescriptorFile\n\
         version=1\n\
         CID={content:08x}\n\
         parentCID=ffffffff\n\
         createType=\"streamOptimized\"\n\
         \n\
         # Extent description\n\
         RDONLY {sectors} SPARSE \"disk.vmdk\"\n\
         \n\
         # The Disk Data Base\n\
         #DDB\n\
         \n\
         ddb.adapterType = \"lsilogic\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\n\
         ddb.geometry.heads = \"255\"\n\
         ddb.geometry.sectors = \"63\"\n\
         ddb.longContentID = \"{long}\"\n\
         ddb.virtualHWVersion = \"10\"\n"
    )
}
