//! What an export has to know of an initramfs, found without unpacking more of it than that
//! takes.
//!
//! The list of its paths ([`PATHS`]) has the names of its modules, and says where it has
//! lists of the drivers that are built into its kernel. Where the modules leave something to
//! ask, it is unpacked until these were read. How large it is when it is unpacked stands at the end of each of its gzip members
//! (RFC 1952, section 2.3.1), and [`History`] says where those of overlays begin.
//!
//! None of this is proven, and somebody may have written it to deceive: what comes of that
//! is a wrong answer, as good as the lie. Where it is not there, or does not add up, all of
//! the initramfs is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, BufReader, Read};
use std::ops::Range;

use lunikernel_cache::artefact::{Artefact, INITRAMFS};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use super::{InspectError, MAX_UNPACKED, kernel_version};
use crate::assemble::cpio::{CpioReader, ReadError, read_gzip};
use crate::overlay::{History, MAX_PATHS, PATHS};

/// How much is read of lists of built-in drivers, in bytes, in all. Distributions' have some
/// 10 KiB each.
const MAX_LISTS: u64 = 4 << 20;
/// How a list of the drivers that are built into a kernel is called.
const LIST: &str = "/modules.builtin";
/// How files of modules end.
const ENDINGS: [&str; 4] = [".ko", ".ko.gz", ".ko.xz", ".ko.zst"];
/// What every gzip member begins with, and the fewest bytes that one has.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
const SMALLEST: u64 = 18;
/// The most that deflate makes of one byte.
const MAX_RATIO: u64 = 1032;
/// The largest member whose size is believed, in bytes. It is said modulo 2^32, and zeros
/// come to more than that from here on.
const LARGEST: u64 = (u32::MAX as u64) / MAX_RATIO;

/// What was found out about an initramfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// The size of all its archives in bytes, unpacked.
    pub unpacked: u64,
    /// The drivers that are modules in it, and, unless these are enough, those that are
    /// built into its kernel, by the names of modules; `None` where it does not list the
    /// latter, as a driver that is missing otherwise may be in the kernel.
    pub drivers: Option<BTreeSet<String>>,
    /// The release of its kernel, where there are modules of others alone: those do not
    /// count.
    pub without: Option<String>,
}

/// Looks into the initramfs of `artefact`. Where the drivers that are modules are `enough`,
/// as others make no difference, those that are built in need not be found out.
///
/// Nothing is compared with its digest: whoever must rely on it calls [`Artefact::check`]
/// before.
///
/// # Errors
/// [`InspectError`] where there is none, or where it has to be unpacked and cannot be.
pub fn glance(
    artefact: &Artefact,
    enough: impl Fn(&BTreeSet<String>) -> bool,
) -> Result<Glance, InspectError> {
    let initramfs = Initramfs::of(artefact)?;
    let members = initramfs.members().unwrap_or_default();
    let found = (initramfs.unpacked(&members)).zip(initramfs.drivers(&members, enough));
    let (unpacked, found) = match found {
        Some(found) => found,
        None => initramfs.read_all().map_err(|source| {
            let artefact = artefact.label().to_owned();
            InspectError::Initramfs { artefact, source }
        })?,
    };
    Ok(Glance {
        unpacked,
        drivers: found.drivers,
        without: initramfs.release.filter(|_| found.others_alone),
    })
}

/// An initramfs in its zip.
struct Initramfs<'a> {
    artefact: &'a Artefact,
    /// In bytes, packed.
    size: u64,
    /// That of its kernel, where it says one.
    release: Option<String>,
}

/// What is known of drivers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    drivers: Option<BTreeSet<String>>,
    /// Whether there are modules of other releases, and none of the kernel's.
    others_alone: bool,
}

impl<'a> Initramfs<'a> {
    fn of(artefact: &'a Artefact) -> Result<Self, InspectError> {
        let version = kernel_version(artefact)?;
        let release = version.and_then(|it| it.split(' ').next().map(str::to_owned));
        Ok(Self {
            artefact,
            size: artefact.entry(INITRAMFS)?.remaining(),
            release: release.filter(|it| !it.is_empty()),
        })
    }

    /// Where its gzip members are, the last one first; none where nobody says. Only what was
    /// built from a lock has one in front of those of overlays, with one archive in it: that
    /// of others may be several.
    fn members(&self) -> Option<Vec<Range<u64>>> {
        self.artefact.manifest().lock?;
        let history = History::of(self.artefact).ok()?.overlays;
        // What was written anew behind another overlay has several archives in one member.
        if history.iter().skip(1).any(|it| it.rewritten) {
            return None;
        }
        let (mut members, mut end) = (Vec::new(), self.size);
        for overlaid in history.iter().rev() {
            let start = end.checked_sub(overlaid.segment.size)?;
            members.push(start..end);
            end = start;
        }
        members.push(0..end);
        let begins = |member: &Range<u64>| {
            let size = member.end - member.start;
            size >= SMALLEST && self.bytes(member.start) == Some(MAGIC)
        };
        members.iter().all(begins).then_some(members)
    }

    /// What these members say that they unpack to.
    fn unpacked(&self, members: &[Range<u64>]) -> Option<u64> {
        let sizes = members.iter().map(|member| {
            let packed = member.end - member.start;
            let said = u64::from(u32::from_le_bytes(self.bytes(member.end - 4)?));
            // What cannot be compressed becomes larger by some bytes for each block.
            let largest = said + said / 512 + 64;
            let fits = packed <= largest && said <= packed * MAX_RATIO;
            (fits && packed <= LARGEST).then_some(said)
        });
        let sizes: Vec<u64> = sizes.collect::<Option<_>>()?;
        (!sizes.is_empty()).then(|| sizes.iter().sum())
    }

    /// The drivers, by the list of paths; `None` where it or something in it is not there.
    fn drivers(
        &self,
        members: &[Range<u64>],
        enough: impl Fn(&BTreeSet<String>) -> bool,
    ) -> Option<Found> {
        let (mut modules, mut lists) = (BTreeSet::new(), BTreeSet::new());
        let mut folders = Folders::default();
        for path in self.listed()?.0 {
            if folders.count(&path, self.release.as_deref()) {
                modules.extend(module(&path));
                if path.ends_with(LIST) {
                    lists.insert(path);
                }
            }
        }
        let found = |drivers| Found {
            drivers,
            others_alone: folders.others && !folders.own,
        };
        if lists.is_empty() {
            return Some(found(None));
        }
        if enough(&modules) {
            return Some(found(Some(modules)));
        }
        let (mut left, mut limit) = (MAX_LISTS, MAX_UNPACKED);
        // From the last one on, as what comes later is written over what was there.
        for member in members {
            let mut reader = self.read(member.clone(), limit);
            while !lists.is_empty() {
                let Some(header) = reader.next_header().ok()? else {
                    break;
                };
                if lists.remove(&header.path) {
                    let list = read_list(&mut reader, &mut left)?;
                    modules.extend(list.lines().filter_map(module));
                }
            }
            limit = limit.saturating_sub(reader.offset());
        }
        lists.is_empty().then(|| found(Some(modules)))
    }

    fn listed(&self) -> Option<Listed> {
        let entry = self.artefact.entry(PATHS).ok()?;
        if entry.remaining() > MAX_PATHS {
            return None;
        }
        let mut list = Vec::new();
        entry.take(MAX_PATHS).read_to_end(&mut list).ok()?;
        serde_json::from_slice(&list).ok()
    }

    /// Reads all of it.
    fn read_all(&self) -> Result<(u64, Found), ReadError> {
        let mut reader = self.read(0..self.size, MAX_UNPACKED);
        let (mut modules, mut lists) = (BTreeSet::new(), BTreeMap::new());
        let (mut left, mut folders) = (MAX_LISTS, Folders::default());
        while let Some(header) = reader.next_header()? {
            if !folders.count(&header.path, self.release.as_deref()) {
                continue;
            }
            if header.path.ends_with(LIST)
                // A list that is no text is none, and damage shows with the next header.
                && let Some(list) = read_list(&mut reader, &mut left)
            {
                lists.insert(header.path.clone(), list);
            }
            modules.extend(module(&header.path));
        }
        let drivers = (!lists.is_empty()).then(|| {
            let built_in = lists.values().flat_map(|list| list.lines());
            modules.extend(built_in.filter_map(module));
            modules
        });
        let found = Found {
            drivers,
            others_alone: folders.others && !folders.own,
        };
        Ok((reader.offset(), found))
    }

    /// Reads the archives in a part of it, at most `limit` bytes of them.
    fn read(&self, range: Range<u64>, limit: u64) -> CpioReader<impl Read> {
        let artefact = self.artefact;
        let packed = Part { artefact, range };
        read_gzip(BufReader::with_capacity(256 << 10, packed), limit)
    }

    /// Some of its bytes.
    fn bytes<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        (self.artefact)
            .read_entry_at(INITRAMFS, &mut bytes, at)
            .ok()?;
        Some(bytes)
    }
}

/// Reads a part of an initramfs.
struct Part<'a> {
    artefact: &'a Artefact,
    range: Range<u64>,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let part = buffer.get_mut(..count).unwrap_or_default();
        let read = (self.artefact).read_entry_at(INITRAMFS, part, self.range.start);
        read.map_err(io::Error::other)?;
        self.range.start += count as u64;
        Ok(count)
    }
}

/// What of a list of paths is where kernels have their modules. Its values matter to nobody
/// here.
#[derive(Default)]
struct Listed(Vec<String>);

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Paths;
        impl<'de> Visitor<'de> for Paths {
            type Value = Listed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object whose keys are paths")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Listed, A::Error> {
                let mut listed = Listed::default();
                while let Some((path, IgnoredAny)) = map.next_entry::<String, _>()? {
                    if in_modules(&path).is_some() {
                        listed.0.push(path);
                    }
                }
                Ok(listed)
            }
        }
        deserializer.deserialize_map(Paths)
    }
}

/// The content of a member as text, where it is text and not more than is `left`.
fn read_list(reader: &mut impl Read, left: &mut u64) -> Option<String> {
    let mut list = String::new();
    let read = reader.take(*left).read_to_string(&mut list).ok()?;
    *left -= read as u64;
    Some(list)
}

/// Where kernels have their modules, in a folder for each release.
const FOLDERS: [&str; 3] = ["lib/modules/", "usr/lib/modules/", "usr/local/lib/modules/"];

/// What of `path` is behind where kernels have their modules.
fn in_modules(path: &str) -> Option<&str> {
    FOLDERS.iter().find_map(|folder| path.strip_prefix(folder))
}

/// Of which releases there are modules.
#[derive(Debug, Default)]
struct Folders {
    own: bool,
    others: bool,
}

impl Folders {
    /// Whether what is at `path` is for a kernel of `release`: in the folder of that, or in
    /// none of any release; in that of any where nobody knows the kernel's.
    fn count(&mut self, path: &str, release: Option<&str>) -> bool {
        let Some(inside) = in_modules(path) else {
            return false;
        };
        let Some((folder, _)) = inside.split_once('/') else {
            return true;
        };
        let is_own = release.is_none_or(|own| own == folder);
        self.own |= is_own;
        self.others |= !is_own;
        is_own
    }
}

/// The name of the module in the file at `path`, as the kernel writes names.
fn module(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    let name = ENDINGS
        .iter()
        .find_map(|ending| file.strip_suffix(ending))?;
    Some(name.replace('-', "_"))
}

#[cfg(test)]
mod tests;
