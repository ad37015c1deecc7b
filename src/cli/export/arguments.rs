//! What the arguments of `luni export` stand for.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use lunikernel_exporters::checks::Firmware;
use lunikernel_exporters::export::Format;

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

/// A size in bytes from one such as `512M` or `10GiB`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 3] = [("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40)];
    let plain = text.strip_suffix("iB").unwrap_or(text);
    let bytes = UNITS.iter().find_map(|(unit, bytes)| {
        let number: u64 = plain.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*bytes)
    });
    match bytes {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => Err("expected a number and one of M, G and T, such as `10G`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(size("512M"), Ok(512 << 20));
        assert_eq!(size("10G"), Ok(10 << 30));
        assert_eq!(size("10GiB"), Ok(10 << 30));
        assert_eq!(size("2T"), Ok(2 << 40));
        for wrong in [
            "",
            "10",
            "G",
            "0G",
            "-1G",
            "1.5G",
            "10GB",
            "10g",
            "99999999999T",
        ] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
