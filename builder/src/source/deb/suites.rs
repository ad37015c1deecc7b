//! Which suites take part: the one that a recipe names, its updates and its security
//! updates, wherever the machine's package sources have them.

use std::collections::BTreeMap;

use futures::future::join_all;
use url::Url;

use super::apt_config::{AptConfig, AptEntry, SignedBy};
use super::date::Date;
use super::error::DebError;
use super::keyring::{Judgement, Keyring};
use super::release::{MAX_RELEASE, MAX_SIGNATURE, Release};
use super::{DebOptions, Download, Vouched};
use crate::fetch::FetchError;
use crate::recipe::DebSource;

/// A suite whose release file was verified.
#[derive(Debug)]
pub(super) struct Suite {
    pub(super) archive: String,
    /// Its name, as it was asked for.
    pub(super) name: String,
    /// The suite's folder in the archive.
    pub(super) base: Url,
    pub(super) release: Release,
}

impl Suite {
    pub(super) fn vouched(&self) -> Vouched {
        Vouched {
            archive: self.archive.clone(),
            suite: self.name.clone(),
            codename: self.release.codename.clone(),
            origin: self.release.origin.clone(),
            label: self.release.label.clone(),
            snapshot: self.release.date.snapshot(),
            inrelease: self.release.digest,
            keys: self.release.keys.clone(),
        }
    }
}

/// A suite at one address, to be looked for.
struct Candidate {
    name: String,
    entry: AptEntry,
    /// Where its kind stands in the order: the release, its updates, its security.
    rank: usize,
}

/// Finds the suites. Where several addresses have the same one, the newest counts.
pub(super) async fn find(
    source: &DebSource,
    arch: &'static str,
    apt: &AptConfig,
    download: &impl Download,
    options: DebOptions<'_>,
) -> Result<Vec<Suite>, DebError> {
    let candidates = candidates(source, arch, apt);
    if candidates.is_empty() {
        return Err(DebError::NoSources {
            components: source.components.clone(),
            arch,
        });
    }
    // Reading a keyring takes long, as all its keys' signatures are checked.
    let mut keyrings = BTreeMap::new();
    for candidate in &candidates {
        let signed_by = &candidate.entry.signed_by;
        if !keyrings.contains_key(signed_by) {
            keyrings.insert(signed_by, apt.keyring(signed_by)?);
        }
    }
    let looking = candidates
        .iter()
        .map(|candidate| load(candidate, apt, &keyrings, download, options));
    let mut found: Vec<(usize, Suite)> = Vec::new();
    let mut failures: Vec<(usize, String, DebError)> = Vec::new();
    for (candidate, suite) in candidates.iter().zip(join_all(looking).await) {
        match suite {
            Ok(Some(suite)) => found.push((candidate.rank, suite)),
            Ok(None) => {}
            Err(error) => {
                failures.push((candidate.rank, candidate.entry.archive().to_owned(), error));
            }
        }
    }
    // A mirror may fail as long as another of the same archive does not. Else updates
    // that should have taken part would be missing without a word.
    for (rank, archive, error) in failures {
        let other = found
            .iter()
            .any(|(found, suite)| *found == rank && suite.archive == archive);
        if !other {
            return Err(error);
        }
    }
    if !found.iter().any(|(rank, _)| *rank == 0) {
        return Err(DebError::NoSuite {
            suite: source.suite.clone(),
            tried: candidates
                .iter()
                .filter(|candidate| candidate.rank == 0)
                .filter_map(|candidate| base(candidate)?.join("InRelease").ok())
                .collect(),
        });
    }
    // Stable, so that among equals the order of the configuration decides.
    found.sort_by(|(a_rank, a), (b_rank, b)| {
        let key = |rank: usize, suite: &Suite| {
            (
                rank,
                suite.archive.clone(),
                suite.release.origin.clone(),
                suite.release.label.clone(),
            )
        };
        key(*a_rank, a)
            .cmp(&key(*b_rank, b))
            .then_with(|| b.release.date.cmp(&a.release.date))
    });
    found.dedup_by(|(later_rank, later), (first_rank, first)| {
        later_rank == first_rank
            && later.archive == first.archive
            && later.release.origin == first.release.origin
            && later.release.label == first.release.label
    });
    Ok(found.into_iter().map(|(_, suite)| suite).collect())
}

/// What to look for: what the configuration names for this suite. Where it names
/// another release only, the same archives may have this one as well.
fn candidates(source: &DebSource, arch: &str, apt: &AptConfig) -> Vec<Candidate> {
    let names = ["", "-updates", "-security"].map(|ending| format!("{}{ending}", source.suite));
    let offering: Vec<&AptEntry> = apt
        .entries
        .iter()
        .filter(|entry| entry.offers(arch, &source.components))
        // A suite that is a path is the whole archive: it has no other.
        .filter(|entry| !entry.suite.ends_with('/'))
        .collect();
    let configured = offering.iter().any(|entry| entry.suite == source.suite);
    let mut candidates: Vec<Candidate> = Vec::new();
    for (rank, name) in names.iter().enumerate() {
        for entry in &offering {
            let known = candidates.iter().any(|known| {
                known.rank == rank
                    && known.entry.uri == entry.uri
                    && known.entry.signed_by == entry.signed_by
            });
            if !known && (!configured || entry.suite == *name) {
                candidates.push(Candidate {
                    name: name.clone(),
                    entry: (*entry).clone(),
                    rank,
                });
            }
        }
    }
    candidates
}

fn base(candidate: &Candidate) -> Option<Url> {
    candidate
        .entry
        .uri
        .join(&format!("dists/{}/", candidate.name))
        .ok()
}

/// Fetches and verifies a suite's release file; `None` where there is no such suite.
async fn load(
    candidate: &Candidate,
    apt: &AptConfig,
    keyrings: &BTreeMap<&SignedBy, Keyring>,
    download: &impl Download,
    options: DebOptions<'_>,
) -> Result<Option<Suite>, DebError> {
    let (Some(base), Some(keyring)) = (base(candidate), keyrings.get(&candidate.entry.signed_by))
    else {
        return Ok(None);
    };
    let check = candidate
        .entry
        .check_valid_until
        .unwrap_or(apt.check_valid_until);
    let judgement = Judgement {
        now: options.now,
        allow_expired: options.allow_expired || !check,
    };
    let Some((url, release)) = fetch(&base, keyring, judgement, download).await? else {
        return Ok(None);
    };
    check_name(&release, &candidate.name, &url)?;
    if let Some(valid_until) = release.valid_until
        && valid_until.seconds() < judgement.now
        && !judgement.allow_expired
    {
        return Err(DebError::Expired {
            url: url.into(),
            valid_until: valid_until.to_string(),
            now: Date::from_seconds(judgement.now).to_string(),
        });
    }
    Ok(Some(Suite {
        archive: candidate.entry.archive().to_owned(),
        name: candidate.name.clone(),
        base,
        release,
    }))
}

/// A mirror must not pass one suite off as another: an old one, with known holes, as the
/// current one.
fn check_name(release: &Release, wanted: &str, url: &Url) -> Result<(), DebError> {
    let names = [&release.codename, &release.suite];
    if names.iter().any(|name| name.as_deref() == Some(wanted)) {
        return Ok(());
    }
    let found: Vec<&str> = names.iter().filter_map(|name| name.as_deref()).collect();
    Err(DebError::WrongSuite {
        url: url.clone().into(),
        suite: wanted.to_owned(),
        found: found.join("` or `"),
    })
}

async fn fetch(
    base: &Url,
    keyring: &Keyring,
    judgement: Judgement,
    download: &impl Download,
) -> Result<Option<(Url, Release)>, DebError> {
    let Some((url, bytes)) = get(base, "InRelease", MAX_RELEASE, download).await? else {
        let Some((url, bytes)) = get(base, "Release", MAX_RELEASE, download).await? else {
            return Ok(None);
        };
        let signature = get(base, "Release.gpg", MAX_SIGNATURE, download).await?;
        let signature = signature.map(|(_, bytes)| bytes).unwrap_or_default();
        return match Release::from_detached(&bytes, &signature, keyring, judgement) {
            Ok(release) => Ok(Some((url, release))),
            Err(source) => Err(DebError::Release {
                url: url.into(),
                source,
            }),
        };
    };
    match Release::from_inrelease(&bytes, keyring, judgement) {
        Ok(release) => Ok(Some((url, release))),
        Err(source) => Err(DebError::Release {
            url: url.into(),
            source,
        }),
    }
}

async fn get(
    base: &Url,
    name: &str,
    limit: u64,
    download: &impl Download,
) -> Result<Option<(Url, Vec<u8>)>, DebError> {
    let Ok(url) = base.join(name) else {
        return Ok(None);
    };
    match download.get(&url, limit).await {
        Ok(bytes) => Ok(Some((url, bytes))),
        Err(FetchError::NotFound { .. }) => Ok(None),
        Err(source) => Err(DebError::Fetch {
            url: url.into(),
            source: source.into(),
        }),
    }
}
