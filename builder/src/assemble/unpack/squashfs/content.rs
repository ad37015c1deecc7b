//! The content of a file, block by block.

use std::io::{self, Read, Seek};

use super::UnpackError;
use super::blocks::{Cursor, Image, layout, number};
use super::inode::{Inode, Kind, NOTHING};
use super::tables::Tables;

/// Reads a file. Of its blocks one is in memory at a time.
pub(super) struct Content<'a, R> {
    image: &'a mut Image<R>,
    /// What is left of the file, in bytes.
    left: u64,
    sizes: Cursor,
    /// Where the next block is stored.
    next: u64,
    /// Place and size of the fragment, and where in it the file's end is.
    fragment: Option<(u64, u32, u32)>,
    block: io::Cursor<Vec<u8>>,
}

impl<'a, R: Read + Seek> Content<'a, R> {
    pub(super) fn new(
        image: &'a mut Image<R>,
        tables: &Tables,
        inode: &Inode,
    ) -> Result<Self, UnpackError> {
        let Kind::File {
            start,
            size,
            fragment,
            offset,
            sizes,
            ..
        } = inode.kind
        else {
            return Err(layout("an inode", "a file", "something else"));
        };
        let fragment = match fragment {
            NOTHING => None,
            number => {
                let (place, size) = tables.fragment(image, number)?;
                Some((place, size, offset))
            }
        };
        Ok(Self {
            image,
            left: size,
            sizes,
            next: start,
            fragment,
            block: io::Cursor::default(),
        })
    }

    /// Reads the next block of the file; all but the last are full.
    fn next_block(&mut self) -> Result<Vec<u8>, UnpackError> {
        let full = u64::from(self.image.block_size);
        let wanted = self.left.min(full) as usize;
        let part = "a block of a file";
        if let Some((place, size, offset)) = self.fragment
            && self.left < full
        {
            let bytes = self.image.fragment(place, size)?;
            let bytes = bytes.get(offset as usize..).unwrap_or_default();
            return bytes.get(..wanted).map(<[u8]>::to_vec).ok_or_else(|| {
                layout(
                    "a fragment",
                    format!("{wanted} bytes at {offset}"),
                    format!("{}", bytes.len()),
                )
            });
        }
        let size: [u8; 4] = self.sizes.array(self.image, part)?;
        let size = number!(size, 0, u32);
        if size == 0 {
            // Nothing but zeros.
            return Ok(vec![0; wanted]);
        }
        let bytes = self.image.block(self.next, size, part)?;
        self.next = self.next.saturating_add(u64::from(size & 0xff_ffff));
        if bytes.len() != wanted {
            return Err(layout(
                part,
                format!("{wanted} bytes"),
                format!("{}", bytes.len()),
            ));
        }
        Ok(bytes)
    }
}

impl<R: Read + Seek> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.block.read(buffer)?;
            if count > 0 || buffer.is_empty() || self.left == 0 {
                return Ok(count);
            }
            let block = self
                .next_block()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            self.left = self.left.saturating_sub(block.len() as u64);
            self.block = io::Cursor::new(block);
        }
    }
}
