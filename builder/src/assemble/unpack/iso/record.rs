//! Directory records (ECMA-119, 9.1).

/// How long a record is before its name, in bytes.
const HEAD: usize = 33;

/// A record of a folder.
pub(super) struct Record<'a> {
    /// How long it is, in bytes.
    pub(super) length: usize,
    /// Its first sector.
    pub(super) extent: u32,
    /// Its size in bytes.
    pub(super) size: u32,
    flags: u8,
    interleaved: bool,
    name: &'a [u8],
    /// What is not for ISO 9660 itself, but for Rock Ridge.
    pub(super) system_use: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads the record that `bytes` begin with; `None` where there is no more, or
    /// else why it is none.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Option<Self>, String> {
        let length = match bytes.first() {
            None | Some(0) => return Ok(None),
            Some(length) => usize::from(*length),
        };
        let record = bytes
            .get(..length)
            .ok_or("one that goes over the end of its sector")?;
        let (head, rest) = record
            .split_at_checked(HEAD)
            .ok_or_else(|| format!("one of {length} bytes"))?;
        let name_size = usize::from(head.last().copied().unwrap_or_default());
        let (name, system_use) = rest
            .split_at_checked(name_size)
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| format!("one of {length} bytes with a name of {name_size}"))?;
        let system_use = match name_size % 2 {
            // A byte fills up to an even length.
            0 => system_use.get(1..).unwrap_or_default(),
            _ => system_use,
        };
        let byte = |at: usize| head.get(at).copied().unwrap_or_default();
        Ok(Some(Self {
            length,
            extent: number32(head, 2).saturating_add(byte(1).into()),
            size: number32(head, 10),
            flags: byte(25),
            interleaved: byte(26) != 0 || byte(27) != 0,
            name,
            system_use,
        }))
    }

    /// Whether it is of the folder itself or of the one above.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.name, [0] | [1])
    }

    pub(super) fn is_folder(&self) -> bool {
        self.flags & 0x02 != 0
    }

    /// Whether it goes with a file of the same name, as resource forks do.
    pub(super) fn is_associated(&self) -> bool {
        self.flags & 0x04 != 0
    }

    /// Whether the next record has more of the same file.
    pub(super) fn has_more(&self) -> bool {
        self.flags & 0x80 != 0
    }

    pub(super) fn is_interleaved(&self) -> bool {
        self.interleaved
    }

    /// Its name in a tree of Joliet's, as Linux shows it; `None` where it is not UTF-16.
    pub(super) fn joliet_name(&self) -> Option<Vec<u8>> {
        let units = self.name.chunks(2).map(|unit| match unit {
            [high, low] => Some(u16::from_be_bytes([*high, *low])),
            _ => None,
        });
        let name = String::from_utf16(&units.collect::<Option<Vec<u16>>>()?).ok()?;
        let name = name.strip_suffix(";1").unwrap_or(&name);
        let bare = name.trim_end_matches('.');
        let name = if bare.is_empty() { name } else { bare };
        Some(name.as_bytes().to_vec())
    }

    /// Its name as Linux shows it: `BOOT.IMG;1` is `boot.img`.
    pub(super) fn plain_name(&self) -> Vec<u8> {
        let version = self.name.iter().position(|byte| *byte == b';');
        let name = self.name.get(..version.unwrap_or(self.name.len()));
        let name = name.unwrap_or_default();
        name.strip_suffix(b".").unwrap_or(name).to_ascii_lowercase()
    }
}

/// The little-endian half of a number that is there in both orders (7.3.3).
pub(super) fn number32(bytes: &[u8], at: usize) -> u32 {
    let part = bytes.get(at..).and_then(|rest| rest.first_chunk());
    part.map_or(0, |part| u32::from_le_bytes(*part))
}

/// The same of 16 bits (7.2.3).
pub(super) fn number16(bytes: &[u8], at: usize) -> u16 {
    let part = bytes.get(at..).and_then(|rest| rest.first_chunk());
    part.map_or(0, |part| u16::from_le_bytes(*part))
}
