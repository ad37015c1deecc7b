//! Which of the trees that an image has is read, by its volume descriptors (ECMA-119, 8).

use std::io::{Read, Seek};

use super::image::Image;
use super::record::{Record, number16};
use super::{FIRST, MAGIC, SECTOR, UnpackError, layout, rock_ridge, shown};

/// How many volume descriptors there may be.
const MAX_DESCRIPTORS: u64 = 64;
/// The escape sequences (8.5.6) by which Joliet's three levels say that names are UTF-16.
const JOLIET: [&[u8]; 3] = [b"%/@", b"%/C", b"%/E"];

/// Where a folder is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) extent: u32,
    pub(super) size: u32,
}

/// How files are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// By Rock Ridge, whose fields are behind this many bytes.
    RockRidge(usize),
    /// By the second tree, in UTF-16.
    Joliet,
    /// By ISO 9660 itself.
    Plain,
}

/// The tree that Linux would show: that with Rock Ridge, else Joliet's, else the plain one.
pub(super) fn tree(image: &mut Image<impl Read + Seek>) -> Result<(Place, Names), UnpackError> {
    let (plain, joliet) = roots(image)?;
    let mut sector = vec![0; SECTOR];
    image.sector(plain.extent.into(), &mut sector)?;
    let skip = Record::parse(&sector)
        .map_err(|why| layout("the root folder", "a record", why))?
        .and_then(|own| rock_ridge::skip(own.system_use));
    Ok(match (skip, joliet) {
        (Some(skip), _) => (plain, Names::RockRidge(skip)),
        (None, Some(joliet)) => (joliet, Names::Joliet),
        (None, None) => (plain, Names::Plain),
    })
}

/// The root folder of the primary tree, and that of Joliet's.
fn roots(image: &mut Image<impl Read + Seek>) -> Result<(Place, Option<Place>), UnpackError> {
    let part = "the volume descriptors";
    let (mut plain, mut joliet) = (None, None);
    let mut sector = vec![0; SECTOR];
    for number in 0..MAX_DESCRIPTORS {
        image.sector(FIRST / SECTOR as u64 + number, &mut sector)?;
        let magic = sector.get(1..6).unwrap_or_default();
        if magic != MAGIC {
            return Err(layout(part, "`CD001`", shown(magic)));
        }
        let escape = sector.get(88..91).unwrap_or_default();
        match sector.first() {
            Some(1) if plain.is_none() => plain = Some(root(&sector)?),
            Some(2) if joliet.is_none() && JOLIET.contains(&escape) => {
                joliet = Some(root(&sector)?);
            }
            Some(255) | None => break,
            Some(_) => {}
        }
    }
    let plain = plain.ok_or_else(|| layout(part, "a primary one", "none"))?;
    Ok((plain, joliet))
}

fn root(descriptor: &[u8]) -> Result<Place, UnpackError> {
    let part = "the volume descriptors";
    let size = number16(descriptor, 128);
    if usize::from(size) != SECTOR {
        return Err(layout(part, "blocks of 2048 bytes", format!("{size}")));
    }
    let root = descriptor.get(156..190).unwrap_or_default();
    let root = Record::parse(root)
        .map_err(|why| layout("the root folder", "a record", why))?
        .filter(|root| root.is_folder())
        .ok_or_else(|| layout(part, "a root folder", "none"))?;
    let (extent, size) = (root.extent, root.size);
    Ok(Place { extent, size })
}
