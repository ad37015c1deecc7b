//! What a kernel module says about itself: the section `.modinfo` of its ELF file.

use object::{Object as _, ObjectSection as _};

/// The fields of `.modinfo` that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModInfo {
    /// The modules whose symbols it uses.
    pub depends: Vec<String>,
    /// The modules that should be loaded before or after it, if they are there; as
    /// written: `pre: a b post: c`.
    pub softdeps: Vec<String>,
    /// What it wants to be loaded for: patterns of device names and the like.
    pub aliases: Vec<String>,
    /// The firmware it asks for.
    pub firmware: Vec<String>,
    /// The kernel release it was built for: the first word of `vermagic`.
    pub release: Option<String>,
}

/// The largest `.modinfo` that is read, in bytes.
const MAX_SIZE: u64 = 4 << 20;

impl ModInfo {
    /// Reads a module's ELF file; the error says what is wrong with it.
    ///
    /// # Errors
    /// A sentence without a subject: `has no section .modinfo`.
    pub fn parse(elf: &[u8]) -> Result<Self, String> {
        let file = object::File::parse(elf).map_err(|error| format!("is no ELF file: {error}"))?;
        let section = file
            .section_by_name(".modinfo")
            .ok_or("has no section .modinfo")?;
        if section.size() > MAX_SIZE {
            return Err(format!(
                "has a section .modinfo of {} bytes",
                section.size()
            ));
        }
        let data = section
            .data()
            .map_err(|error| format!("has a section .modinfo that cannot be read: {error}"))?;
        Self::fields(data)
    }

    /// Reads the content of `.modinfo`: `KEY=VALUE`, each with a NUL at its end.
    ///
    /// # Errors
    /// As [`ModInfo::parse`].
    pub fn fields(data: &[u8]) -> Result<Self, String> {
        let mut info = Self::default();
        for field in data
            .split(|byte| *byte == 0)
            .filter(|field| !field.is_empty())
        {
            // Descriptions and names of authors come in any encoding.
            let Some((key, value)) = str::from_utf8(field)
                .ok()
                .and_then(|field| field.split_once('='))
            else {
                continue;
            };
            match key {
                "depends" => info.depends.extend(names(value.split(','))?),
                "softdep" if value.contains(char::is_control) => {
                    return Err(format!("has a softdep with a line end in it: {value:?}"));
                }
                "softdep" => info.softdeps.push(value.to_owned()),
                "alias" if value.chars().any(char::is_whitespace) => {
                    return Err(format!("has an alias with a blank in it: {value:?}"));
                }
                "alias" => info.aliases.push(value.to_owned()),
                "firmware" => info.firmware.push(value.to_owned()),
                "vermagic" => info.release = value.split(' ').next().map(str::to_owned),
                _ => {}
            }
        }
        Ok(info)
    }

    /// The names in its soft dependencies, before or after alike.
    pub fn soft_names(&self) -> impl Iterator<Item = String> {
        self.softdeps
            .iter()
            .flat_map(|value| value.split_whitespace())
            .filter(|word| !word.ends_with(':'))
            .map(super::normal)
    }
}

/// Module names, as they are compared: `-` and `_` are the same.
fn names<'a>(words: impl Iterator<Item = &'a str>) -> Result<Vec<String>, String> {
    words
        .filter(|word| !word.is_empty())
        .map(|word| {
            if word
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'/')
            {
                Ok(super::normal(word))
            } else {
                Err(format!("depends on a module with a strange name: {word:?}"))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_modinfo() {
        let info = ModInfo::fields(
            b"license=GPL\0author=J\xf6rg\0alias=virtio:d00000001v*\0depends=net-failover,failover\0\0softdep=pre: crc32c post: a-b\0firmware=x.bin\0vermagic=6.1.0-1 SMP mod_unload \0depends=\0",
        )
        .unwrap();
        assert_eq!(info.depends, ["net_failover", "failover"]);
        assert_eq!(info.softdeps, ["pre: crc32c post: a-b"]);
        assert_eq!(info.soft_names().collect::<Vec<_>>(), ["crc32c", "a_b"]);
        assert_eq!(info.aliases, ["virtio:d00000001v*"]);
        assert_eq!(info.firmware, ["x.bin"]);
        assert_eq!(info.release.as_deref(), Some("6.1.0-1"));
    }

    #[test]
    fn what_would_break_an_index_is_refused() {
        for bad in [
            &b"depends=a b\0"[..],
            b"depends=../x\0",
            b"alias=x\ny\0",
            b"softdep=pre: a\nb\0",
        ] {
            assert!(ModInfo::fields(bad).is_err(), "{}", bad.escape_ascii());
        }
        for bad in [&b""[..], b"\x7fELF", &[0x7f; 64]] {
            assert!(ModInfo::parse(bad).is_err());
        }
    }
}
