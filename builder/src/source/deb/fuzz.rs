//! The parsers of this module for fuzzing: each takes any bytes and writes what it read
//! once more, in the format that it was read from. What is written so must be read as
//! the same again.

use std::fmt::Write as _;

use lunikernel_cache::Digest;

use super::apt_conf::AptConf;
use super::apt_config::SignedBy;
use super::apt_sources::{self, Line};
use super::date::{Date, MONTHS};
use super::keyring::{Judgement, Keyring};
use super::packages::{self, Package};
use super::relation;
use super::release::{self, Release};
use super::{PackagesError, ReleaseError};

/// Reads apt's configuration.
#[must_use]
pub fn apt_conf(bytes: &[u8]) -> String {
    let mut conf = AptConf::default();
    conf.parse(&String::from_utf8_lossy(bytes));
    conf.below("")
        .fold(String::new(), |mut out, (name, value)| {
            let _ = writeln!(out, "\"{name}\" \"{value}\";");
            out
        })
}

/// Reads sources of one line each; writes them as paragraphs.
#[must_use]
pub fn sources_list(bytes: &[u8]) -> Option<String> {
    let lines = apt_sources::parse_list(&String::from_utf8_lossy(bytes)).ok()?;
    Some(lines.iter().map(paragraph).collect())
}

/// Reads sources of one paragraph each.
#[must_use]
pub fn sources(bytes: &[u8]) -> Option<String> {
    let lines = apt_sources::parse_deb822(&String::from_utf8_lossy(bytes)).ok()?;
    Some(lines.iter().map(paragraph).collect())
}

fn paragraph(line: &Line) -> String {
    let mut out = "Types: deb\n".to_owned();
    for (name, words) in [
        ("URIs", &line.uris),
        ("Suites", &line.suites),
        ("Components", &line.components),
        ("Architectures", &line.architectures),
    ] {
        let _ = writeln!(out, "{name}: {}", words.join(" "));
    }
    if let Some(check) = line.check_valid_until {
        let _ = writeln!(
            out,
            "Check-Valid-Until: {}",
            if check { "yes" } else { "no" }
        );
    }
    let SignedBy {
        files,
        fingerprints,
        blocks,
    } = &line.signed_by;
    let mut value: Vec<String> = blocks
        .iter()
        .flat_map(|block| block.lines())
        .map(|line| if line.is_empty() { "." } else { line }.to_owned())
        .collect();
    value.extend(files.iter().map(|path| path.display().to_string()));
    value.extend(fingerprints.iter().cloned());
    let _ = writeln!(out, "Signed-By: {}\n", value.join("\n "));
    out
}

/// Reads a list of packages, and the relations between them that locking reads: those
/// must be read from what they are written as, too.
///
/// # Errors
/// [`PackagesError`]
pub fn packages(bytes: &[u8]) -> Result<String, PackagesError> {
    let mut packages = Vec::new();
    packages::read(bytes, "amd64", 0, &mut packages)?;
    Ok(packages.iter().map(package).collect())
}

fn package(package: &Package) -> String {
    let word = |word: bool, yes, no| if word { yes } else { no };
    let priorities = ["required", "important", "standard", "optional"];
    let priority = priorities.get(usize::from(package.priority));
    let mut out = format!(
        "Package: {}\nVersion: {}\nArchitecture: {}\nMulti-Arch: {}\nPriority: {}\n\
         Filename: {}\nSize: {}\nSHA256: {}\n",
        package.name,
        package.version,
        word(package.all, "all", "amd64"),
        word(package.any, "allowed", "no"),
        priority.unwrap_or(&"extra"),
        package.filename,
        package.size,
        package.sha256.hex(),
    );
    for (name, value) in [
        ("Source", &package.source),
        ("Depends", &package.depends),
        ("Pre-Depends", &package.pre_depends),
        ("Provides", &package.provides),
        ("Conflicts", &package.conflicts),
        ("Breaks", &package.breaks),
    ] {
        if let Some(value) = value {
            let _ = writeln!(out, "{name}: {value}");
        }
    }
    out.push('\n');
    out
}

/// Reads relations between packages, `a (>= 1), b | c`.
///
/// # Errors
/// A sentence that says what could not be read.
pub fn relations(bytes: &[u8]) -> Result<String, String> {
    let all = relation::parse(&String::from_utf8_lossy(bytes))?;
    let one = |either: &Vec<relation::Relation>| {
        let shown: Vec<String> = either.iter().map(ToString::to_string).collect();
        shown.join(" | ")
    };
    Ok(all.iter().map(one).collect::<Vec<String>>().join(", "))
}

/// Whether two versions are ordered the same way whichever is asked first; `None`
/// where one of them is no version.
#[must_use]
pub fn versions_are_ordered(one: &str, two: &str) -> Option<bool> {
    let (one, two) = (relation::parse_version(one)?, relation::parse_version(two)?);
    Some(one.cmp(&two) == two.cmp(&one).reverse() && (one == two) == one.cmp(&two).is_eq())
}

/// Reads a release file as if it had been signed.
///
/// # Errors
/// [`ReleaseError`]
pub fn release(bytes: &[u8]) -> Result<String, ReleaseError> {
    let text = String::from_utf8_lossy(bytes);
    Release::parse(&text, Vec::new(), Digest::of(bytes)).map(|release| release_text(&release))
}

/// Reads a signed release file, vouched for by a key of `keyring` at the time `now`, in
/// seconds since 1970. Gives the primary keys' fingerprints and the file.
///
/// # Errors
/// [`ReleaseError`]
pub fn inrelease(
    bytes: &[u8],
    keyring: &[u8],
    now: u64,
) -> Result<(Vec<String>, String), ReleaseError> {
    let (keyring, judgement) = trust(keyring, now);
    let release = Release::from_inrelease(bytes, &keyring, judgement)?;
    let text = release_text(&release);
    Ok((release.keys, text))
}

/// As [`inrelease`], with the signature in a file of its own.
///
/// # Errors
/// [`ReleaseError`]
pub fn detached(
    bytes: &[u8],
    signature: &[u8],
    keyring: &[u8],
    now: u64,
) -> Result<(Vec<String>, String), ReleaseError> {
    let (keyring, judgement) = trust(keyring, now);
    let release = Release::from_detached(bytes, signature, &keyring, judgement)?;
    let text = release_text(&release);
    Ok((release.keys, text))
}

/// Reads a detached signature, and says how many there are in it.
///
/// # Errors
/// [`ReleaseError`]
pub fn signatures(bytes: &[u8]) -> Result<usize, ReleaseError> {
    Ok(release::detached_signatures(bytes)?.len())
}

/// Reads a keyring, and says how many certificates it has.
#[must_use]
pub fn keyring(bytes: &[u8]) -> usize {
    Keyring::default().add(bytes)
}

fn trust(bytes: &[u8], now: u64) -> (Keyring, Judgement) {
    let mut keyring = Keyring::default();
    keyring.add(bytes);
    let judgement = Judgement {
        now,
        allow_expired: false,
    };
    (keyring, judgement)
}

fn release_text(release: &Release) -> String {
    let mut out = format!("Date: {}\n", rfc5322(release.date));
    for (name, value) in [
        ("Origin", &release.origin),
        ("Label", &release.label),
        ("Suite", &release.suite),
        ("Codename", &release.codename),
        ("Snapshots", &release.snapshots),
        ("Valid-Until", &release.valid_until.map(rfc5322)),
    ] {
        if let Some(value) = value {
            let _ = writeln!(out, "{name}: {}", value.replace('\n', "\n "));
        }
    }
    if release.by_hash {
        out.push_str("Acquire-By-Hash: yes\n");
    }
    if !release.all_is_listed_with_each {
        out.push_str("Architectures: all\n");
    }
    out.push_str("SHA256:\n");
    for (path, digest) in &release.files {
        let _ = writeln!(out, " {} {} {path}", digest.sha256.hex(), digest.size);
    }
    out
}

/// A date as release files have it, made of `20260711T101637Z`.
fn rfc5322(date: Date) -> String {
    let text = date.snapshot();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or("?");
    let month: usize = part(4, 6).parse().unwrap_or_default();
    let month = MONTHS.get(month.wrapping_sub(1)).unwrap_or(&"?");
    format!(
        "{} {month} {} {}:{}:{} UTC",
        part(6, 8),
        part(0, 4),
        part(9, 11),
        part(11, 13),
        part(13, 15)
    )
}
