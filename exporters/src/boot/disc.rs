//! What is put around a Lunikernel so that a disc boots it.

use super::commands::Within;
use super::{BootError, EFI_PROGRAM, GRUB_CONFIG, Loaders, Piece, System, notices};
use crate::checks::Firmware;
use crate::content::Content;
use crate::disc::{Bios, Disc};
use crate::fat::FileTree;
use crate::manifest::BootPiece;

impl System {
    /// The disc that it boots from.
    ///
    /// # Errors
    /// [`BootError`] where firmware of that kind does not start it.
    pub fn disc(&self, loaders: &Loaders) -> Result<Disc, BootError> {
        let mut disc = Disc {
            label: self.about().name.clone(),
            ..Disc::default()
        };
        let uki = match self.firmware {
            Firmware::Bios => None,
            Firmware::Uefi | Firmware::Hybrid => Some(self.uki(loaders)?),
        };
        if self.firmware != Firmware::Uefi {
            let commands = self.commands(uki.as_ref().map(Within::a_disc))?;
            let config = Content::bytes(commands.text);
            disc.files.push((GRUB_CONFIG.to_owned(), config));
            disc.files.extend(commands.files);
            disc.bios = Some(Bios {
                boot_img: loaders.boot_img.bytes.clone(),
                eltorito_img: loaders.eltorito_img.bytes.clone(),
            });
        }
        for notice in notices(self.loaded_from_disc(loaders)) {
            let path = format!("licences/{}", notice.file);
            disc.files
                .push((path, Content::bytes(notice.text.as_slice())));
        }
        if let Some(uki) = uki {
            let mut files = FileTree::new();
            files.add(EFI_PROGRAM, uki.program)?;
            disc.efi = Some(files);
        }
        Ok(disc)
    }

    /// The parts of boot loaders that its disc needs.
    #[must_use]
    pub fn disc_pieces<'a>(&self, loaders: &'a Loaders) -> Vec<&'a BootPiece> {
        let pieces = self.loaded_from_disc(loaders).into_iter();
        pieces.map(|piece| &piece.about).collect()
    }

    fn loaded_from_disc<'a>(&self, loaders: &'a Loaders) -> Vec<&'a Piece> {
        let mut pieces = Vec::new();
        if self.firmware != Firmware::Uefi {
            pieces.extend([&loaders.boot_img, &loaders.eltorito_img]);
        }
        if self.firmware != Firmware::Bios {
            pieces.push(&loaders.stub);
        }
        pieces
    }
}
