//! Unpacking one package of Alpine (apk-package(5)), without running anything of it.
//!
//! A package is three gzip members: a signature, which covers the bytes of the second;
//! the control member, whose SHA-1 the index has and which has the SHA-256 of the third;
//! and the data.

mod checksum;
mod database;
mod error;
mod info;
mod layers;
pub(crate) mod member;
mod order;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

use lunikernel_cache::{BlobStore, Digest, NodeKind, Rootfs};
use serde::{Deserialize, Serialize};

pub use checksum::Checksum;
pub(crate) use checksum::Summing;
pub use database::{Installed, Numbers, ParseError};
pub use error::ApkError;
pub use info::Info;
pub use layers::{LayerError, Layers, merge};
pub use member::{Signature, SignatureHash};
use member::{Watch, Watched};
pub(crate) use order::{bare, displayed};

use super::member::{Keep, KeepError, Limits, MemberError, store};
pub use super::tarball::OwnerNames;
use super::tarball::{self, Named, TarError};

/// An unpacked package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// What it says about itself.
    pub info: Info,
    /// The checksum of its control member: what indexes know it by.
    pub checksum: Checksum,
    /// Its scripts by what they are called: `.post-install`, for example.
    pub scripts: BTreeMap<String, Digest>,
    /// Its files.
    pub root: Rootfs,
    /// The paths of its members in the order in which its archive has them, which is that
    /// of apk's database.
    pub order: Vec<String>,
    /// The checksums of its files and links, by path.
    pub sums: BTreeMap<String, Checksum>,
    /// Whose its files are, by path, where they are not root's: apk goes by these names and
    /// takes the numbers in `root` only where the system has nobody of that name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub owners: BTreeMap<String, OwnerNames>,
}

/// What a package is expected to be: what the lock says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The checksum of its control member.
    pub checksum: Checksum,
}

/// The largest control member, in bytes as it is, and what it unpacks to at most.
const MAX_CONTROL: usize = 8 << 20;
const MAX_CONTROL_UNPACKED: u64 = 64 << 20;
/// Up to this size any package may unpack to, in bytes; beyond, to at most
/// [`MAX_RATIO`] times its own size.
const FREE_SIZE: u64 = 64 << 20;
const MAX_RATIO: u64 = 200;

/// The first two members of a package.
pub(crate) struct Head {
    /// Its signatures; none where it is not signed.
    pub(crate) signatures: Vec<Signature>,
    /// The control member as it is, which the signatures cover.
    pub(crate) control: Vec<u8>,
    /// What the package says about itself.
    pub(crate) info: Info,
    /// Its scripts.
    scripts: BTreeMap<String, Vec<u8>>,
}

/// Reads the first two members; `reader` then stands at the third.
pub(crate) fn read_head<R: BufRead>(
    package: &str,
    reader: &mut Watched<R>,
) -> Result<Head, ApkError> {
    let failed = |part| {
        move |source| ApkError::Read {
            package: package.to_owned(),
            part,
            source,
        }
    };
    let wrong = |why: String| ApkError::Layout {
        package: package.to_owned(),
        why,
    };
    reader.watch(Watch::keep(MAX_CONTROL + 1));
    let first =
        member::decompress(reader, MAX_CONTROL_UNPACKED).map_err(failed("the signature"))?;
    if is_signature(&first) && first.len() as u64 > member::MAX_SIGNATURES {
        return Err(wrong(format!(
            "has signatures of {} bytes, more than {}",
            first.len(),
            member::MAX_SIGNATURES
        )));
    }
    let signatures = member::signatures(&first)
        .map_err(|why| wrong(format!("cannot be told to be signed: {why}")))?;
    // Without a signature, the first member is the control member.
    let unpacked = if is_signature(&first) {
        drop(first);
        reader.watch(Watch::keep(MAX_CONTROL + 1));
        member::decompress(reader, MAX_CONTROL_UNPACKED).map_err(failed("the control member"))?
    } else {
        first
    };
    let control = match reader.watch(Watch::Nothing) {
        Watch::Keep(bytes, _) => bytes,
        Watch::Nothing | Watch::Hash(_) => Vec::new(),
    };
    if control.len() > MAX_CONTROL {
        return Err(wrong(format!(
            "has a control member of more than {MAX_CONTROL} bytes"
        )));
    }
    let mut files = read_control(package, &unpacked)?;
    let info = files
        .remove(".PKGINFO")
        .ok_or_else(|| wrong("has no .PKGINFO".to_owned()))?;
    let info =
        String::from_utf8(info).map_err(|_| wrong("has a .PKGINFO not in UTF-8".to_owned()))?;
    let info =
        Info::parse(&info).map_err(|why| wrong(format!("is no package: its .PKGINFO {why}")))?;
    Ok(Head {
        signatures,
        control,
        info,
        scripts: files,
    })
}

/// Whether a decompressed member holds signatures and no content.
fn is_signature(tar: &[u8]) -> bool {
    tar.starts_with(b".SIGN.")
}

/// The files of the control member, in memory.
fn read_control(package: &str, tar: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, ApkError> {
    let limits = Limits {
        total: MAX_CONTROL_UNPACKED,
        members: 1000,
        devices: false,
        twice: false,
    };
    let mut contents = BTreeMap::new();
    let root = tarball::read(tar, limits, &mut |content, size| {
        let mut bytes = Vec::new();
        content
            .take(size.min(info::MAX_SIZE) + 1)
            .read_to_end(&mut bytes)
            .map_err(KeepError::Read)?;
        if bytes.len() as u64 > info::MAX_SIZE {
            return Err(KeepError::Read(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it is larger than {} bytes", info::MAX_SIZE),
            )));
        }
        let digest = Digest::of(&bytes);
        contents.insert(digest, bytes);
        Ok(digest)
    })
    .map_err(|source| ApkError::Archive {
        package: package.to_owned(),
        part: "the control member",
        source: Box::new(source),
    })?;
    let mut files = BTreeMap::new();
    for (path, node) in root.nodes() {
        if let NodeKind::File { content, .. } = &node.kind
            && let Some(bytes) = contents.get(content)
        {
            files.insert(path.to_owned(), bytes.clone());
        }
    }
    Ok(files)
}

impl Head {
    /// Compares it with what a lock or an index says.
    pub(crate) fn check(
        &self,
        package: &str,
        by: &'static str,
        expected: &Expected,
    ) -> Result<(), ApkError> {
        let checksum = Checksum::of(&self.control);
        let fields = [
            ("the name", &expected.name, &self.info.name),
            ("the version", &expected.version, &self.info.version),
            (
                "the checksum",
                &expected.checksum.to_string(),
                &checksum.to_string(),
            ),
        ];
        for (what, expected, found) in fields {
            if expected != found {
                return Err(ApkError::Differs {
                    package: package.to_owned(),
                    what,
                    by,
                    expected: expected.clone(),
                    found: found.clone(),
                });
            }
        }
        Ok(())
    }

    /// Compares the data member, whose SHA-256 was taken, with what the control member
    /// says it is.
    pub(crate) fn check_data(&self, package: &str, watch: Watch) -> Result<(), ApkError> {
        let Watch::Hash(context) = watch else {
            return Ok(());
        };
        let Some(expected) = &self.info.data else {
            return Err(ApkError::Layout {
                package: package.to_owned(),
                why: "has no datahash, so nothing vouches for its files".to_owned(),
            });
        };
        let found: String = context
            .finish()
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if found != expected.hex() {
            return Err(ApkError::Differs {
                package: package.to_owned(),
                what: "data with the SHA-256",
                by: "its .PKGINFO",
                expected: expected.hex(),
                found,
            });
        }
        Ok(())
    }
}

/// Unpacks the package that is the blob `digest`, its content into the store.
///
/// A pure function: the same digest gives the same package. No script is run, no link
/// followed, and nothing created outside the store.
///
/// # Errors
/// [`ApkError`], which names the package and the member.
pub fn unpack_apk(
    blobs: &BlobStore,
    digest: &Digest,
    expected: &Expected,
) -> Result<Package, ApkError> {
    let name = format!("{} {}", expected.name, expected.version);
    let mut file = Watched::new(BufReader::with_capacity(64 << 10, blobs.open(digest)?));
    let head = read_head(&name, &mut file)?;
    head.check(&name, "the lock", expected)?;
    let mut scripts = BTreeMap::new();
    for (script, content) in &head.scripts {
        scripts.insert(script.clone(), blobs.put(content)?);
    }
    let Data {
        root,
        order,
        sums,
        owners,
    } = read_data(
        &name,
        &head,
        &mut file,
        digest.size,
        &mut |content, size| store(blobs, content, size),
    )?;
    Ok(Package {
        checksum: expected.checksum,
        info: head.info,
        scripts,
        root,
        order,
        sums,
        owners,
    })
}

/// The third member.
#[derive(Default)]
struct Data {
    root: Rootfs,
    order: Vec<String>,
    sums: BTreeMap<String, Checksum>,
    owners: BTreeMap<String, OwnerNames>,
}

/// Reads the third member; every byte of it is hashed as it passes.
fn read_data<R: BufRead>(
    package: &str,
    head: &Head,
    file: &mut Watched<R>,
    size: u64,
    keep: &mut Keep<'_>,
) -> Result<Data, ApkError> {
    let failed = |source| ApkError::Read {
        package: package.to_owned(),
        part: "the data",
        source,
    };
    file.watch(Watch::hash());
    if file.at_end().map_err(failed)? {
        // A package without files may have no third member at all.
        return match &head.info.data {
            None => Ok(Data::default()),
            Some(_) => Err(failed(io::ErrorKind::UnexpectedEof.into())),
        };
    }
    let limits = Limits::default();
    let by_ratio = FREE_SIZE.max(size.saturating_mul(MAX_RATIO));
    let limits = Limits {
        total: limits.total.min(by_ratio),
        ..limits
    };
    let mut sums = BTreeMap::new();
    let decoder = flate2::bufread::MultiGzDecoder::new(&mut *file);
    let read = tarball::read_named(decoder, limits, &mut |content, size| {
        let mut summed = Summed {
            inner: content,
            summing: Summing::default(),
        };
        let digest = keep(&mut summed, size)?;
        sums.insert(digest, summed.summing.finish());
        Ok(digest)
    });
    let Named {
        root,
        order,
        owners,
    } = match read {
        Ok(read) => read,
        Err(source) => {
            // Changed bytes are told of as such, before what they unpack to is.
            file.drain().map_err(failed)?;
            head.check_data(package, file.watch(Watch::Nothing))?;
            return Err(match source {
                TarError::Member(MemberError::Cache(error)) => error.into(),
                source => ApkError::Archive {
                    package: package.to_owned(),
                    part: "the data",
                    source: Box::new(source),
                },
            });
        }
    };
    file.drain().map_err(failed)?;
    head.check_data(package, file.watch(Watch::Nothing))?;
    // apk's database has a line for each name, and so has what scripts report.
    if let Some((path, _)) = root
        .nodes()
        .find(|(path, _)| path.contains(char::is_control))
    {
        return Err(ApkError::Layout {
            package: package.to_owned(),
            why: format!(
                "has a file with a control character in its name: \"{}\"",
                path.escape_debug()
            ),
        });
    }
    let mut by_path = BTreeMap::new();
    for (path, node) in root.nodes() {
        let sum = match &node.kind {
            NodeKind::File { content, .. } => sums.get(content).copied(),
            NodeKind::Symlink { target } => Some(Checksum::of(target.as_bytes())),
            _ => None,
        };
        if let Some(sum) = sum {
            by_path.insert(path.to_owned(), sum);
        }
    }
    Ok(Data {
        root,
        order,
        sums: by_path,
        owners,
    })
}

/// Takes the checksum of what passes.
struct Summed<'a> {
    inner: &'a mut dyn Read,
    summing: Summing,
}

impl Read for Summed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.summing.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Reads `bytes` as a package without storing anything; for fuzzing.
///
/// # Errors
/// [`ApkError`]
pub fn fuzz(bytes: &[u8]) -> Result<(Info, Rootfs), ApkError> {
    let mut file = Watched::new(bytes);
    let head = read_head("fuzz", &mut file)?;
    let size = bytes.len() as u64;
    let Data { root, .. } = read_data("fuzz", &head, &mut file, size, &mut |content, _| {
        let mut content = lunikernel_cache::HashingReader::new(content);
        io::copy(&mut content, &mut io::sink()).map_err(KeepError::Read)?;
        Ok(content.finish())
    })?;
    Ok((head.info, root))
}
