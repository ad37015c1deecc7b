//! The headers that tar puts before a member for what its own header cannot hold.

use std::collections::BTreeMap;
use std::io::Read;

use tar::{Entry, EntryType};

use crate::assemble::member::{MemberError, refused};

/// The largest extra header: room for every attribute that Linux would store.
const MAX_EXTRA: u64 = 1 << 20;

/// What extra headers say about the member that follows.
#[derive(Default)]
pub(super) struct Extra {
    pub(super) name: Option<Vec<u8>>,
    pub(super) target: Option<Vec<u8>>,
    pub(super) records: BTreeMap<String, Vec<u8>>,
}

impl Extra {
    pub(super) fn is_empty(&self) -> bool {
        self.name.is_none() && self.target.is_none() && self.records.is_empty()
    }

    /// Takes in `entry` where it is an extra header; false where it is a member.
    pub(super) fn take<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<bool, MemberError> {
        let kind = entry.header().entry_type();
        let label = match kind {
            EntryType::GNULongName => "a GNU long name",
            EntryType::GNULongLink => "a GNU long link",
            EntryType::XHeader => "a pax header",
            EntryType::XGlobalHeader => "a global pax header",
            _ => return Ok(false),
        };
        let size = entry.size();
        if size > MAX_EXTRA {
            return Err(refused(
                label,
                format!("it has {size} bytes, expected at most {MAX_EXTRA}"),
            ));
        }
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .map_err(|source| MemberError::Content {
                member: label.to_owned(),
                source,
            })?;
        if bytes.len() as u64 != size {
            return Err(refused(label, "the archive ends within it"));
        }
        match kind {
            EntryType::GNULongName => set_once(&mut self.name, without_nul(bytes), label)?,
            EntryType::GNULongLink => set_once(&mut self.target, without_nul(bytes), label)?,
            EntryType::XHeader => {
                if !self.records.is_empty() {
                    return Err(refused(label, "there are two for one member"));
                }
                self.records = pax_records(&bytes)
                    .ok_or_else(|| refused(label, "its records are malformed"))?;
            }
            // What it says is about the archive, a commit's id for example; anything
            // that would change members is not worth supporting.
            _ => {
                let records = pax_records(&bytes)
                    .ok_or_else(|| refused(label, "its records are malformed"))?;
                if let Some(key) = records.keys().find(|key| *key != "comment") {
                    return Err(refused(label, format!("it sets `{key}` for all members")));
                }
            }
        }
        Ok(true)
    }
}

fn set_once(slot: &mut Option<Vec<u8>>, value: Vec<u8>, label: &str) -> Result<(), MemberError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(refused(label, "there are two for one member")),
    }
}

fn without_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

/// Reads pax records: `LENGTH KEY=VALUE\n`, where the length counts the whole record
/// and the value may hold any byte. `None` where they are malformed or repeated.
fn pax_records(mut bytes: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
    let mut records = BTreeMap::new();
    while !bytes.is_empty() {
        let space = bytes.iter().take(8).position(|byte| *byte == b' ')?;
        let length: usize = str::from_utf8(bytes.get(..space)?).ok()?.parse().ok()?;
        let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        let key = str::from_utf8(record.get(..equals)?).ok()?;
        let value = record.get(equals + 1..)?.to_vec();
        if key.is_empty() || records.insert(key.to_owned(), value).is_some() {
            return None;
        }
        bytes = bytes.get(length..)?;
    }
    Some(records)
}
