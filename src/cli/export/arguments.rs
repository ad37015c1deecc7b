//! What the arguments of `luni export` stand for.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use lunikernel_exporters::checks::Firmware;
use lunikernel_exporters::export::Format;

use crate::cli::size::Size;

/// A format, as the exporters have it.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct FormatArg(pub(super) Format);

impl ValueEnum for FormatArg {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [FormatArg; Format::ALL.len()] = {
            let mut all = [FormatArg(Format::Raw); Format::ALL.len()];
            let mut at = 0;
            while at < all.len() {
                all[at] = FormatArg(Format::ALL[at]);
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

/// What starts the disk, as the exporters have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct FirmwareArg(pub(super) Firmware);

impl ValueEnum for FirmwareArg {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self(Firmware::Bios),
            Self(Firmware::Uefi),
            Self(Firmware::Hybrid),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

/// The size of a disk, which is one with something on it.
pub(super) fn size(text: &str) -> Result<Size, String> {
    match text.parse()? {
        Size(0) => Err("expected a size above 0, such as `10G`".to_owned()),
        size => Ok(size),
    }
}
