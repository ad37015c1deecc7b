//! `scripts.tar`: the scripts of installed packages, which apk keeps to run them when
//! something changes or is taken away.

use std::collections::BTreeMap;
use std::io::{self, Read};

use tar::{EntryType, Header};

use crate::assemble::apk::{Checksum, Installed, Package};
use crate::plan::SOURCE_DATE_EPOCH;

/// The largest archive of scripts that is read, in bytes.
const MAX_SIZE: u64 = 64 << 20;

/// What scripts are there for, in the order in which apk keeps them.
const KINDS: [&str; 7] = [
    ".pre-install",
    ".post-install",
    ".pre-deinstall",
    ".post-deinstall",
    ".pre-upgrade",
    ".post-upgrade",
    ".trigger",
];

/// A script that apk keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    /// `NAME-VERSION.CHECKSUM.KIND`, where apk 2 writes the checksum as `Q1…` and apk 3 as
    /// `X1…`.
    pub(super) name: String,
    /// When its package was built, in seconds since 1970.
    pub(super) built: u64,
    pub(super) content: Vec<u8>,
}

impl Script {
    /// What its package is called, the package's checksum, and what it is there for.
    pub(super) fn parts(&self) -> Option<(&str, Checksum, &str)> {
        let (name, kind) = self.name.rsplit_once('.')?;
        let (label, checksum) = name.rsplit_once('.')?;
        Some((label, Checksum::parse(checksum)?, kind))
    }
}

/// Reads an archive.
pub(super) fn unpack(archive: impl Read) -> io::Result<Vec<Script>> {
    let mut scripts = Vec::new();
    for entry in tar::Archive::new(archive.take(MAX_SIZE)).entries()? {
        let mut entry = entry?;
        let mut content = Vec::new();
        let built = entry.header().mtime()?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        entry.read_to_end(&mut content)?;
        scripts.push(Script {
            name,
            built,
            content,
        });
    }
    Ok(scripts)
}

/// Puts the scripts of a base into the order in which apk writes them: that of the packages
/// in its database, and for each that of [`KINDS`].
pub(super) fn sort(scripts: &mut [Script], installed: &Installed) {
    let lines = installed.heads().filter_map(|(_, head)| {
        let mut lines = head.lines();
        lines.find_map(|line| line.strip_prefix("C:"))
    });
    let packages: BTreeMap<Checksum, usize> = lines
        .filter_map(Checksum::parse)
        .enumerate()
        .map(|(place, checksum)| (checksum, place))
        .collect();
    let place = |script: &Script| {
        let (_, checksum, kind) = script.parts()?;
        let package = packages.get(&checksum).copied()?;
        let kind = KINDS
            .iter()
            .position(|other| other.get(1..) == Some(kind))?;
        Some((package, kind))
    };
    scripts.sort_by_cached_key(|script| place(script).unwrap_or((usize::MAX, 0)));
}

/// The scripts of a package, whose contents `read` gets.
pub(super) fn of<E>(
    package: &Package,
    read: impl Fn(&lunikernel_cache::Digest) -> Result<Vec<u8>, E>,
) -> Result<Vec<Script>, E> {
    let info = &package.info;
    let built = info.build_date.parse();
    let mut scripts = Vec::new();
    for kind in KINDS {
        if let Some(digest) = package.scripts.get(kind) {
            scripts.push(Script {
                name: format!("{}-{}.{}{kind}", info.name, info.version, package.checksum),
                // Where a package does not say so, apk takes the time of day.
                built: *built.as_ref().unwrap_or(&u64::from(SOURCE_DATE_EPOCH)),
                content: read(digest)?,
            });
        }
    }
    Ok(scripts)
}

/// Writes an archive, by the byte as apk does.
pub(super) fn pack(scripts: &[Script]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for script in scripts {
        let mut header = Header::new_gnu();
        // Of another type, that of old archives among them, apk 2 takes no script.
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_username("root")?;
        header.set_groupname("root")?;
        header.set_size(script.content.len() as u64);
        header.set_mtime(script.built);
        if header.set_path(&script.name).is_err() {
            // A name for which there is no room.
            archive.append_data(&mut header, &script.name, script.content.as_slice())?;
            continue;
        }
        let size = script.content.len() as u64;
        if let Some(fields) = header.as_gnu_mut() {
            digits(&mut fields.size, size);
            digits(&mut fields.mtime, script.built);
        }
        header.set_cksum();
        let sum = format!("{:06o}\0 ", header.cksum()?);
        for (to, from) in header.as_old_mut().cksum.iter_mut().zip(sum.bytes()) {
            *to = from;
        }
        archive.append(&header, script.content.as_slice())?;
    }
    archive.into_inner()
}

/// Fills a field with octal digits to its end.
fn digits(field: &mut [u8; 12], number: u64) {
    for (to, from) in field.iter_mut().zip(format!("{number:012o}").bytes()) {
        *to = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(name: &str, kind: &str) -> Script {
        let checksum = Checksum::of(name.as_bytes());
        Script {
            name: format!("{name}-1.{checksum}.{kind}"),
            built: 1_715_000_000,
            content: kind.as_bytes().to_vec(),
        }
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let long = script(&"long".repeat(50), "trigger");
        let scripts = [script("a", "pre-install"), long, script("b", "trigger")];
        let packed = pack(&scripts).unwrap();
        assert_eq!(unpack(packed.as_slice()).unwrap(), scripts);
        // As apk writes them: digits to the end of the field, a type, and a sum that others
        // accept, too.
        assert_eq!(&packed[124..157], b"000000000013014616151300017702\0 0");
        let mut archive = tar::Archive::new(packed.as_slice());
        assert_eq!(archive.entries().unwrap().count(), 3);
    }

    #[test]
    fn scripts_of_a_base_are_in_the_order_of_its_database() {
        let entry = |name: &str| format!("C:{}\nP:{name}\nV:1\n\n", Checksum::of(name.as_bytes()));
        let text = entry("b") + &entry("a");
        let installed = Installed::parse(&text).unwrap();
        let mut scripts = [
            script("gone", "trigger"),
            script("a", "trigger"),
            script("a", "post-install"),
            script("b", "trigger"),
            script("a", "pre-upgrade"),
        ];
        sort(&mut scripts, &installed);
        let names = scripts.iter().map(|script| script.parts().unwrap());
        let names: Vec<String> = names
            .map(|(name, _, kind)| format!("{name} {kind}"))
            .collect();
        let expected = [
            "b-1 trigger",
            "a-1 post-install",
            "a-1 pre-upgrade",
            "a-1 trigger",
            "gone-1 trigger",
        ];
        assert_eq!(names, expected);
    }
}
