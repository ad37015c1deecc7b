//! Unpacking one Debian package (deb(5)), without running anything of it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use lunikernel_cache::{BlobStore, CacheError, Digest, HashingReader, NodeKind, Rootfs};
use serde::{Deserialize, Serialize};

use super::ar::{self, ArError, Archive};
use super::codec::Codec;
use super::control::{self, Control};
use super::member::{self, Keep, KeepError, Limits, MemberError};
use super::tarball::{self, TarError};

/// What a package is expected to be: what the distribution's index says about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Its name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// The architecture it must fit; a package for `all` fits every one.
    pub architecture: String,
}

/// An unpacked package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// What it says about itself.
    pub control: Control,
    /// The short names of its licences where its copyright files are
    /// machine-readable (DEP-5); empty where they are not.
    pub licences: BTreeSet<String>,
    /// Its files.
    pub root: Rootfs,
}

/// Up to this size any package may unpack to, in bytes; beyond, to at most
/// [`MAX_RATIO`] times its own size. Debian's largest ratios are below 50.
const FREE_SIZE: u64 = 64 << 20;
const MAX_RATIO: u64 = 200;
/// The most that a package's control archive may unpack to, in bytes.
const MAX_CONTROL: u64 = 64 << 20;
/// The largest copyright file that is looked at, in bytes.
const MAX_COPYRIGHT: u64 = 4 << 20;

/// A package could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// The container is broken.
    #[error("could not unpack the package {package}")]
    Container {
        /// The package.
        package: String,
        /// What is wrong.
        #[source]
        source: ArError,
    },
    /// A part is missing, or is not what it should be.
    #[error("could not unpack the package {package}: expected {expected}, found {found}")]
    Layout {
        /// The package.
        package: String,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// One of its archives is broken or hostile.
    #[error("could not unpack {part} of the package {package}")]
    Archive {
        /// The package.
        package: String,
        /// Which archive.
        part: String,
        /// What is wrong, with the member's name.
        #[source]
        source: Box<TarError>,
    },
    /// Its control file makes no sense.
    #[error("the control file of the package {package} {why}")]
    Control {
        /// The package.
        package: String,
        /// What is wrong with it.
        why: String,
    },
    /// It is another package than the lock says.
    #[error("the package {package} has {field} `{found}`, expected `{expected}`")]
    Identity {
        /// The package.
        package: String,
        /// Which field of its control file.
        field: &'static str,
        /// What the lock says.
        expected: String,
        /// What the package says.
        found: String,
    },
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl DebError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Container { .. } | Self::Layout { .. } | Self::Control { .. } => {
                Some("this is no package that dpkg made; check what the source names".to_owned())
            }
            Self::Archive { source, .. } => source.hint(),
            Self::Identity { .. } => Some(
                "the index and the package disagree; lock again with `luni lock --update`"
                    .to_owned(),
            ),
            Self::Cache(error) => error.hint(),
        }
    }
}

/// Unpacks the package that is the blob `digest`, its content into the store.
///
/// A pure function: the same digest gives the same package. No maintainer script is
/// run, no link followed, and nothing created outside the store.
///
/// # Errors
/// [`DebError`], which names the package and the member.
pub fn unpack_deb(
    blobs: &BlobStore,
    digest: &Digest,
    expected: Option<&Expected>,
) -> Result<Package, DebError> {
    let name = expected.map_or_else(
        || digest.sha256.to_string(),
        |expected| format!("{} {}", expected.package, expected.version),
    );
    let file = blobs.open(digest)?;
    let (control, root) = read(&name, file, &mut |content, size| {
        member::store(blobs, content, size)
    })?;
    if let Some(expected) = expected {
        check(&name, &control, expected)?;
    }
    let licences = find_licences(blobs, &root)?;
    Ok(Package {
        control,
        licences,
        root,
    })
}

fn check(name: &str, control: &Control, expected: &Expected) -> Result<(), DebError> {
    let fields = [
        ("Package", &control.package, &expected.package),
        ("Version", &control.version, &expected.version),
        (
            "Architecture",
            &control.architecture,
            &expected.architecture,
        ),
    ];
    for (field, found, expected) in fields {
        let fits = found == expected || (field == "Architecture" && found == "all");
        if !fits {
            return Err(DebError::Identity {
                package: name.to_owned(),
                field,
                expected: expected.clone(),
                found: found.clone(),
            });
        }
    }
    Ok(())
}

/// Reads the container: `debian-binary`, `control.tar.*`, `data.tar.*`, in that order.
fn read(name: &str, reader: impl Read, keep: &mut Keep<'_>) -> Result<(Control, Rootfs), DebError> {
    let container = |source| DebError::Container {
        package: name.to_owned(),
        source,
    };
    let layout = |expected, found: &str| DebError::Layout {
        package: name.to_owned(),
        expected,
        found: found.to_owned(),
    };
    let mut archive = Archive::new(reader).map_err(container)?;

    let member = next(&mut archive).map_err(container)?;
    if member.name != "debian-binary" {
        return Err(layout("the member `debian-binary` first", &member.name));
    }
    let mut version = String::new();
    (&mut archive)
        .take(64)
        .read_to_string(&mut version)
        .map_err(|source| {
            container(ArError::Read {
                what: "`debian-binary`",
                source,
            })
        })?;
    if !version.starts_with("2.") || !version.ends_with('\n') {
        return Err(layout("version 2 of the format", version.trim_end()));
    }

    let member = next(&mut archive).map_err(container)?;
    let control = match Codec::of_name(&member.name) {
        ("control.tar", codec) => read_control(name, &member, codec.reader(&mut archive))?,
        _ => return Err(layout("the member `control.tar` second", &member.name)),
    };

    let member = next(&mut archive).map_err(container)?;
    let root = match Codec::of_name(&member.name) {
        ("data.tar", codec) => {
            let limits = Limits::default();
            let by_ratio = FREE_SIZE.max(member.size.saturating_mul(MAX_RATIO));
            let limits = Limits {
                total: limits.total.min(by_ratio),
                ..limits
            };
            tarball::read(codec.reader(&mut archive), limits, keep)
                .map_err(|source| archive_error(name, &member.name, source))?
        }
        _ => return Err(layout("the member `data.tar` third", &member.name)),
    };

    match archive.next_member().map_err(container)? {
        None => Ok((control, root)),
        Some(member) => Err(layout("nothing behind `data.tar`", &member.name)),
    }
}

/// The next member that is not for other tools: dpkg skips names that begin with `_`.
fn next<R: Read>(archive: &mut Archive<R>) -> Result<ar::Member, ArError> {
    loop {
        match archive.next_member()? {
            None => {
                return Err(ArError::Read {
                    what: "the next member",
                    source: std::io::ErrorKind::UnexpectedEof.into(),
                });
            }
            Some(member) if member.name.starts_with('_') => {}
            Some(member) => return Ok(member),
        }
    }
}

fn archive_error(package: &str, part: &str, source: TarError) -> DebError {
    match source {
        TarError::Member(MemberError::Cache(error)) => error.into(),
        source => DebError::Archive {
            package: package.to_owned(),
            part: part.to_owned(),
            source: Box::new(source),
        },
    }
}

/// Reads the control archive in memory; maintainer scripts are passed over.
fn read_control(name: &str, member: &ar::Member, reader: impl Read) -> Result<Control, DebError> {
    let small = RefCell::new(BTreeMap::new());
    let limits = Limits {
        total: MAX_CONTROL,
        members: 10_000,
        devices: false,
        twice: false,
    };
    let root = tarball::read(reader, limits, &mut |content, size| {
        let mut content = HashingReader::new(content);
        let mut bytes = Vec::new();
        (&mut content)
            .take(size.min(1 << 20))
            .read_to_end(&mut bytes)
            .and_then(|_| std::io::copy(&mut content, &mut std::io::sink()))
            .map_err(KeepError::Read)?;
        let digest = content.finish();
        small.borrow_mut().insert(digest, bytes);
        Ok(digest)
    })
    .map_err(|source| archive_error(name, &member.name, source))?;
    let broken = |why: String| DebError::Control {
        package: name.to_owned(),
        why,
    };
    let small = small.into_inner();
    let text = root
        .get("control")
        .and_then(|node| match &node.kind {
            NodeKind::File { content, .. } => small.get(content),
            _ => None,
        })
        .ok_or_else(|| broken("is missing".to_owned()))?;
    let text = str::from_utf8(text).map_err(|_| broken("is not UTF-8".to_owned()))?;
    Control::parse(text).map_err(broken)
}

/// The licences that copyright files in the package name.
fn find_licences(blobs: &BlobStore, root: &Rootfs) -> Result<BTreeSet<String>, DebError> {
    let mut found = BTreeSet::new();
    for (path, node) in root.nodes() {
        let is_copyright = path
            .strip_prefix("usr/share/doc/")
            .and_then(|path| path.split_once('/'))
            .is_some_and(|(_, name)| name == "copyright");
        if let (true, NodeKind::File { content, .. }) = (is_copyright, &node.kind)
            && content.size <= MAX_COPYRIGHT
        {
            let text = blobs.read(content)?;
            found.append(&mut control::licences(&String::from_utf8_lossy(&text)));
        }
    }
    Ok(found)
}

/// Reads `bytes` as a package without storing anything; for fuzzing.
///
/// # Errors
/// [`DebError`]
pub fn fuzz(bytes: &[u8]) -> Result<(Control, Rootfs), DebError> {
    read("fuzz", bytes, &mut |content, _| {
        let mut content = HashingReader::new(content);
        std::io::copy(&mut content, &mut std::io::sink()).map_err(KeepError::Read)?;
        Ok(content.finish())
    })
}

#[cfg(test)]
mod tests;
