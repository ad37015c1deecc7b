//! Lists of packages: fetched, checked against the release file, read.

use std::io::{BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use lunikernel_cache::{Digest, HashingReader};
use lzma_rust2::XzReader;
use url::Url;

use super::Download;
use super::error::DebError;
use super::packages::{self, Package, PackagesError};
use super::release::Release;
use crate::fetch::FetchError;

/// The largest list that is fetched; Debian's has 9 MB, compressed.
const MAX_COMPRESSED: u64 = 256 << 20;
/// The largest list that is read; Debian's has 45 MB. What is of interest in it is held in
/// memory.
const MAX_PLAIN: u64 = 512 << 20;
/// How much memory an xz stream may ask for, in KiB. Archives use presets that need
/// 64 MiB at the most.
const XZ_MEMORY_KIB: u32 = 100 << 10;

/// How a list is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Xz,
    Gzip,
    None,
}

/// A list of packages that a release file vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    compression: Compression,
    /// Below the suite's folder.
    path: String,
    digest: Digest,
    /// Of the list itself, decompressed.
    plain: Option<Digest>,
}

impl Index {
    /// The lists of `component` for `arch` in a release, in the best compression there
    /// is. Most releases list packages for all architectures with those of each; where
    /// one names `all` among its architectures instead, there is a second list.
    pub(super) fn of(release: &Release, component: &str, arch: &str) -> Vec<Self> {
        let mut indexes: Vec<Self> = Self::find(release, component, arch).into_iter().collect();
        if !release.all_is_listed_with_each {
            indexes.extend(Self::find(release, component, "all"));
        }
        indexes
    }

    fn find(release: &Release, component: &str, arch: &str) -> Option<Self> {
        let plain = format!("{component}/binary-{arch}/Packages");
        [
            (Compression::Xz, ".xz"),
            (Compression::Gzip, ".gz"),
            (Compression::None, ""),
        ]
        .into_iter()
        .find_map(|(compression, ending)| {
            let path = format!("{plain}{ending}");
            let digest = *release.files.get(&path)?;
            Some(Self {
                compression,
                path,
                digest,
                plain: release.files.get(&plain).copied(),
            })
        })
    }

    /// Fetches the list from the suite's folder `base`. By its hash first: that name
    /// stays when the archive is updated in between.
    pub(super) async fn fetch(
        &self,
        base: &Url,
        by_hash: bool,
        download: &impl Download,
    ) -> Result<(Url, Vec<u8>), DebError> {
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let hashed = format!("{folder}/by-hash/SHA256/{}", self.digest.sha256.hex());
        let mut places = Vec::new();
        places.extend(by_hash.then(|| base.join(&hashed)).and_then(Result::ok));
        places.extend(base.join(&self.path).ok());
        let limit = self.digest.size.min(MAX_COMPRESSED);
        let mut missing = None;
        for url in places {
            match download.get(&url, limit).await {
                Ok(bytes) => {
                    let found = Digest::of(&bytes);
                    if found != self.digest {
                        let (url, expected) = (url.into(), self.digest);
                        return Err(DebError::Mismatch {
                            url,
                            expected,
                            found,
                        });
                    }
                    return Ok((url, bytes));
                }
                Err(source @ FetchError::NotFound { .. }) => {
                    let source = source.into();
                    missing = Some(DebError::Fetch {
                        url: url.into(),
                        source,
                    });
                }
                Err(source) => {
                    let source = source.into();
                    return Err(DebError::Fetch {
                        url: url.into(),
                        source,
                    });
                }
            }
        }
        Err(missing.unwrap_or(DebError::Interrupted))
    }

    /// Reads the packages of a list that was fetched.
    pub(super) fn read(
        &self,
        bytes: &[u8],
        arch: &str,
        release: usize,
    ) -> Result<Vec<Package>, PackagesError> {
        let mut packages = Vec::new();
        match self.compression {
            Compression::Xz => {
                let reader = XzReader::new_mem_limit(bytes, true, XZ_MEMORY_KIB);
                self.read_plain(reader, arch, release, &mut packages)?;
            }
            Compression::Gzip => {
                self.read_plain(MultiGzDecoder::new(bytes), arch, release, &mut packages)?;
            }
            Compression::None => self.read_plain(bytes, arch, release, &mut packages)?,
        }
        Ok(packages)
    }

    fn read_plain(
        &self,
        reader: impl Read,
        arch: &str,
        release: usize,
        packages: &mut Vec<Package>,
    ) -> Result<(), PackagesError> {
        let most = self
            .plain
            .map_or(MAX_PLAIN, |plain| plain.size.min(MAX_PLAIN));
        let limited = reader.take(most + 1);
        let mut hashing = HashingReader::new(limited);
        packages::read(
            BufReader::with_capacity(1 << 16, &mut hashing),
            arch,
            release,
            packages,
        )?;
        let found = hashing.finish();
        if found.size > most || self.plain.is_some_and(|plain| plain != found) {
            return Err(PackagesError::Plain {
                expected: self.plain.map_or(most, |plain| plain.size),
                found: found.size,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_archive::gzip;
    use super::*;

    #[test]
    fn a_list_that_unpacks_to_more_than_is_signed_is_not_read_on() {
        let list = vec![b'\n'; 4 << 20];
        let packed = gzip(&list);
        let index = |plain: Digest| Index {
            compression: Compression::Gzip,
            path: "main/binary-amd64/Packages.gz".to_owned(),
            digest: Digest::of(&packed),
            plain: Some(plain),
        };
        let honest = index(Digest::of(&list)).read(&packed, "amd64", 0);
        assert_eq!(honest.unwrap(), []);
        let signed = index(Digest::of(&list[..100])).read(&packed, "amd64", 0);
        let error = signed.unwrap_err();
        assert!(
            matches!(
                error,
                PackagesError::Plain {
                    expected: 100,
                    found: 101
                }
            ),
            "{error}"
        );
    }
}
