//! Putting GRUB on a disk without `grub-install`, and on a disc without `grub-mkrescue`: what
//! these write into GRUB's images for BIOSes, so that they find each other.
//!
//! `boot.img` is the boot code of the first sector; it loads the first sector of `core.img`,
//! which loads the rest. A disc has both in one image behind `cdboot.img`, which loads all
//! of it. `core.img` and that image come from `grub-mkimage`.

use crate::gpt::{BOOT_CODE, SECTOR};
use crate::iso::BLOCK;

/// Where `boot.img` has the first sector of `core.img`, as 64 bits.
const CORE_SECTOR: usize = 0x5c;
/// Where it has a jump over code for BIOSes that pass a wrong number of the drive. That
/// code is meant for hard disks, so the jump is taken out.
const DRIVE_CHECK: usize = 0x66;
/// Where the first sector of `core.img` says where the others are: a sector as 64 bits,
/// how many there are as 16 bits, and the segment that they are loaded to.
const REST_SECTOR: usize = 0x1f4;
const REST_COUNT: usize = 0x1fc;
const REST_SEGMENT: usize = 0x1fe;
/// The segment behind the first sector, which is loaded to 0x8000.
const SEGMENT: [u8; 2] = 0x820u16.to_le_bytes();

/// Where `cdboot.img` is told of itself, and what of the image is summed up there: the boot
/// information table of mkisofs (genisoimage(1), *EL TORITO BOOT INFORMATION TABLE*).
const TABLE: std::ops::Range<usize> = 8..64;
/// The block of the volume descriptor that the table names: the first one.
const DESCRIPTOR: u32 = 16;

/// GRUB's images are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrubError {
    /// `boot.img` is something else.
    #[error("could not use boot.img: expected the 512 bytes of GRUB's for i386-pc, found {0}")]
    Boot(String),
    /// `core.img` is something else.
    #[error("could not use core.img: expected an image of grub-mkimage for i386-pc, found {0}")]
    Core(String),
    /// The image for discs is something else.
    #[error(
        "could not use eltorito.img: expected an image of grub-mkimage for i386-pc-eltorito, found {0}"
    )]
    Disc(String),
}

impl GrubError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some("take both from the same version of GRUB, of its part for BIOSes (i386-pc)".to_owned())
    }
}

/// The boot code for the first sector of a disk, from `boot.img`, where `core.img` begins at
/// `core_sector`.
///
/// # Errors
/// [`GrubError::Boot`] where it is no `boot.img`.
pub fn boot_code(boot_img: &[u8], core_sector: u64) -> Result<Vec<u8>, GrubError> {
    let refused = |found: &str| Err(GrubError::Boot(found.to_owned()));
    if boot_img.len() as u64 != SECTOR {
        return refused(&format!("{} bytes", boot_img.len()));
    }
    if !boot_img.ends_with(&[0x55, 0xaa]) {
        return refused("no signature at its end");
    }
    // As it is before anybody installed it.
    if boot_img.get(CORE_SECTOR..CORE_SECTOR + 8) != Some(&1u64.to_le_bytes()) {
        return refused("another number than 1 for the sector of core.img");
    }
    if !matches!(
        boot_img.get(DRIVE_CHECK..DRIVE_CHECK + 2),
        Some([0xeb, _] | [0x90, 0x90])
    ) {
        return refused("no check of the drive");
    }
    let mut code = boot_img.to_vec();
    code.splice(CORE_SECTOR..CORE_SECTOR + 8, core_sector.to_le_bytes());
    code.splice(DRIVE_CHECK..DRIVE_CHECK + 2, [0x90, 0x90]);
    code.truncate(BOOT_CODE);
    Ok(code)
}

/// What goes to `core_sector`, from `core.img`.
///
/// # Errors
/// [`GrubError::Core`] where it is no `core.img`, or too large for its own loader.
pub fn core(core_img: &[u8], core_sector: u64) -> Result<Vec<u8>, GrubError> {
    let refused = |found: String| Err(GrubError::Core(found));
    let sectors = (core_img.len() as u64).div_ceil(SECTOR);
    let rest = match u16::try_from(sectors.saturating_sub(1)) {
        Ok(rest) if rest > 0 => rest,
        _ => return refused(format!("{} bytes", core_img.len())),
    };
    if core_img.get(REST_SEGMENT..REST_SEGMENT + 2) != Some(&SEGMENT) {
        return refused("another address to load it to".to_owned());
    }
    let mut core = core_img.to_vec();
    core.splice(
        REST_SECTOR..REST_SECTOR + 8,
        (core_sector + 1).to_le_bytes(),
    );
    core.splice(REST_COUNT..REST_COUNT + 2, rest.to_le_bytes());
    Ok(core)
}

/// The sector of 512 bytes where the core.img of the image for discs is, where that begins
/// with `block` of 2048 bytes.
#[must_use]
pub fn core_of_disc_image(block: u32) -> u64 {
    (u64::from(block) + 1) * (BLOCK / SECTOR)
}

/// What goes to `block` of a disc, from the image of `grub-mkimage` for i386-pc-eltorito.
///
/// # Errors
/// [`GrubError::Disc`] where it is no such image, or too large for its own loader.
pub fn disc_image(image: &[u8], block: u32) -> Result<Vec<u8>, GrubError> {
    let refused = |found: String| Err(GrubError::Disc(found));
    let Some((loader, rest)) = image.split_at_checked(BLOCK as usize) else {
        return refused(format!("{} bytes", image.len()));
    };
    // As it is before anybody put it on a disc.
    if loader
        .get(TABLE)
        .is_none_or(|it| it.iter().any(|byte| *byte != 0))
    {
        return refused("no room to tell it where it is".to_owned());
    }
    let Ok(len) = u32::try_from(image.len()) else {
        return refused(format!("{} bytes", image.len()));
    };
    let core = core(rest, core_of_disc_image(block)).or_else(|error| match error {
        GrubError::Core(found) => refused(format!("{found} of the core.img in it")),
        other => Err(other),
    })?;
    let mut whole = loader.to_vec();
    whole.extend(core);
    let words = whole
        .get(TABLE.end..)
        .unwrap_or_default()
        .chunks(4)
        .map(|it| {
            let mut word = [0; 4];
            (word.iter_mut().zip(it)).for_each(|(place, byte)| *place = *byte);
            u32::from_le_bytes(word)
        });
    let sum = words.fold(0, u32::wrapping_add);
    let table = [DESCRIPTOR, block, len, sum].into_iter();
    let table: Vec<u8> = table.flat_map(u32::to_le_bytes).collect();
    whole.splice(TABLE.start..TABLE.start + table.len(), table);
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot_img() -> Vec<u8> {
        let mut image = vec![0xaa; 512];
        image[CORE_SECTOR..CORE_SECTOR + 8].copy_from_slice(&1u64.to_le_bytes());
        image[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[0xeb, 5]);
        image[510..].copy_from_slice(&[0x55, 0xaa]);
        image
    }

    #[test]
    fn the_images_find_each_other() {
        let code = boot_code(&boot_img(), 2048).unwrap();
        assert_eq!(code.len(), BOOT_CODE);
        assert_eq!(code[0x5c..0x64], [0, 8, 0, 0, 0, 0, 0, 0]);
        assert_eq!(code[0x64..0x69], [0xaa, 0xaa, 0x90, 0x90, 0xaa]);
        let mut core_img = vec![7; 3 * 512 + 1];
        core_img[REST_SEGMENT..512].copy_from_slice(&SEGMENT);
        let core = core(&core_img, 2048).unwrap();
        assert_eq!(
            core[REST_SECTOR..512],
            [1, 8, 0, 0, 0, 0, 0, 0, 3, 0, 0x20, 8]
        );
        assert_eq!(core[..REST_SECTOR], core_img[..REST_SECTOR]);
        assert_eq!(core[512..], core_img[512..]);
    }

    fn disc_img() -> Vec<u8> {
        let mut image = vec![0; 2048];
        image.extend(vec![7; 3 * 512 + 2]);
        image[2048 + REST_SEGMENT..2048 + 512].copy_from_slice(&SEGMENT);
        image
    }

    #[test]
    fn an_image_for_discs_knows_where_it_is() {
        let image = disc_image(&disc_img(), 20).unwrap();
        assert_eq!(image.len(), disc_img().len());
        let words: Vec<u32> = (image.chunks(4))
            .map(|it| {
                it.iter()
                    .rev()
                    .fold(0, |word, byte| word << 8 | u32::from(*byte))
            })
            .collect();
        assert_eq!(words[2..5], [16, 20, image.len() as u32]);
        let sum = words[16..].iter().copied().fold(0, u32::wrapping_add);
        assert_eq!(words[5], sum);
        assert!(words[6..16].iter().all(|word| *word == 0));
        // The core.img in it, started from a disk, is in the next block.
        assert_eq!(core_of_disc_image(20), 84);
        let rest = &image[2048 + REST_SECTOR..2048 + REST_SECTOR + 8];
        assert_eq!(*rest, 85u64.to_le_bytes());

        let mut told = disc_img();
        told[12] = 1;
        for image in [vec![], vec![0; 2048], vec![0; 8192], told] {
            assert!(matches!(disc_image(&image, 20), Err(GrubError::Disc(_))));
        }
    }

    #[test]
    fn other_files_are_refused() {
        let mut installed = boot_img();
        installed[CORE_SECTOR] = 9;
        let mut cut = boot_img();
        cut.pop();
        for image in [Vec::new(), vec![0; 512], installed, cut] {
            assert!(matches!(boot_code(&image, 1), Err(GrubError::Boot(_))));
        }
        for image in [vec![], vec![0; 512], vec![0; 4096], vec![0; 65537 * 512]] {
            assert!(matches!(core(&image, 1), Err(GrubError::Core(_))));
        }
    }
}
