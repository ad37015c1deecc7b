//! Sizes, as options take them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes: `512M`, `10G`, or all of it written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

/// The units, which are powers of 1024.
const UNITS: [(char, u32); 4] = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];
/// The fewest bytes that are taken for bytes where no unit is given: nobody means fewer, and
/// who writes `20` has a unit in mind.
const FEWEST_PLAIN: u64 = 1 << 20;

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = text.get(digits.len()..).unwrap_or_default().trim_start();
        let letter = unit.strip_suffix("iB").unwrap_or(unit);
        let expected = || {
            "expected a number with K, M, G or T (powers of 1024) such as `512M` or `10G`"
                .to_owned()
        };
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse::<u64>().ok().filter(|_| is_number);
        let number = number.ok_or_else(expected)?;
        if unit.is_empty() || unit == "B" {
            return match number {
                0 | FEWEST_PLAIN.. => Ok(Self(number)),
                _ => Err(format!(
                    "`{text}` has no unit: write {number}M for MiB, {number}G for GiB"
                )),
            };
        }
        let shift = UNITS.iter().find(|(name, _)| letter == name.to_string());
        let (_, shift) = shift.ok_or_else(expected)?;
        let bytes = number.checked_mul(1 << shift);
        bytes.map(Self).ok_or_else(expected)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, shift): &&(char, u32)| self.0 > 0 && self.0.is_multiple_of(1 << shift);
        match UNITS.iter().rfind(fits) {
            Some((unit, shift)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes, shown) in [
            ("0", 0, "0"),
            ("1048576", 1 << 20, "1M"),
            ("1073741825", (1 << 30) + 1, "1073741825"),
            ("1073741824B", 1 << 30, "1G"),
            ("10K", 10 << 10, "10K"),
            ("3 MiB", 3 << 20, "3M"),
            ("512M", 512 << 20, "512M"),
            ("1024M", 1 << 30, "1G"),
            ("2G", 2 << 30, "2G"),
            ("1TiB", 1 << 40, "1T"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!(size, Size(bytes), "{text}");
            assert_eq!(size.to_string(), shown);
        }
        for bad in [
            "",
            "G",
            "-1",
            "-1G",
            "+1G",
            "1.5G",
            "10GB",
            "10g",
            "1GB2",
            "1 E",
            "iB",
            "1iB",
            "1é",
            "18446744073709551615K",
            "99999999999T",
        ] {
            let error = bad.parse::<Size>().unwrap_err();
            assert!(error.contains("such as `512M`"), "{bad}: {error}");
        }
        for bare in ["1", "20", "1048575"] {
            let error = bare.parse::<Size>().unwrap_err();
            assert!(error.contains("has no unit"), "{bare}: {error}");
        }
    }
}
