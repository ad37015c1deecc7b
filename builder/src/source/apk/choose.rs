//! Choosing packages: keys, indexes, and the solver.

use std::path::Path;

use lunikernel_cache::Digest;
use url::Url;

use super::base::{self, Base};
use super::error::ApkSourceError;
use super::keys::Keys;
use super::rollback::{self, Before};
use super::rules::{self, Catalogue};
use super::signed_index::{self, MAX_SIZE};
use super::solve::{Request, solve};
use super::{VouchedIndex, below};
use crate::assemble::apk::Checksum;
use crate::fetch::Fetcher;
use crate::recipe::{ApkSource, Arch};
use crate::source::solve::SolveError;

/// The largest key, in bytes.
const MAX_KEY: u64 = 64 << 10;

/// What is to be locked.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What the recipe says.
    pub source: &'a ApkSource,
    /// The processor it is for.
    pub arch: Arch,
    /// The recipe's folder, which keys are beside.
    pub folder: &'a Path,
    /// The archive that the recipe names as base.
    pub base: Option<Digest>,
    /// Names and versions that are preferred to newer ones, from an earlier lock.
    pub keep: &'a [(String, String)],
    /// What that lock was made by: what is older is refused.
    pub before: Before<'a>,
}

/// What was chosen.
#[derive(Debug)]
pub struct Choice {
    /// The indexes that it was chosen by.
    pub indexes: Vec<VouchedIndex>,
    /// The packages, by name.
    pub packages: Vec<Chosen>,
    /// The keys that are trusted.
    pub(super) keys: Keys,
}

/// A package that was chosen and is yet to be fetched.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The repository that has it.
    pub repository: String,
    /// The checksum of its control member.
    pub checksum: Checksum,
    /// Its size in bytes.
    pub size: u64,
    /// Where it may be had.
    pub(super) url: Url,
    /// Who needs it, from the package up to the recipe.
    pub(super) why: Vec<String>,
}

/// Reads the indexes, each vouched for, and finds the packages that are needed. None of
/// them is fetched.
///
/// # Errors
/// [`ApkSourceError`] where an index cannot be had or is not vouched for, or where a
/// dependency cannot be met.
pub async fn choose(fetcher: &Fetcher, asked: Asked<'_>) -> Result<Choice, ApkSourceError> {
    let (keys, base) = trusted(fetcher, asked)?;
    let arch = asked.arch.alpine();
    let mut packages = base.installed;
    let mut indexes = Vec::new();
    for (number, repository) in asked.source.repositories.iter().enumerate() {
        let url = below(repository, &[arch, "APKINDEX.tar.gz"])?;
        let task = fetcher.progress().start("verifying", repository, None);
        let bytes = fetcher
            .get(&url, MAX_SIZE)
            .await
            .map_err(|source| ApkSourceError::Fetch {
                url: Box::new(url.clone()),
                source: Box::new(source),
            })?;
        let index =
            signed_index::read(&bytes, &keys, number).map_err(|source| ApkSourceError::Index {
                url: Box::new(url),
                source,
            })?;
        rollback::check(
            repository,
            index.description.as_deref(),
            &index.packages,
            asked.before,
        )?;
        task.finish(&format!("{} packages", index.packages.len()));
        packages.extend(index.packages.into_iter().filter(|package| {
            // An index may list what is for other processors, too.
            &*package.arch == arch || &*package.arch == "noarch"
        }));
        indexes.push(VouchedIndex {
            repository: repository.clone(),
            description: index.description,
            index: Digest::of(&bytes),
            key: index.voucher.key,
            fingerprint: index.voucher.fingerprint,
        });
    }
    let task = fetcher.progress().start("solving", "packages", None);
    let catalogue = rules::catalogue(packages).map_err(SolveError::from)?;
    let packages = find(&catalogue, asked)?;
    task.finish(&format!("{} of {}", packages.len(), catalogue.len()));
    Ok(Choice {
        indexes,
        packages,
        keys,
    })
}

/// The keys that are trusted, and what the base has.
fn trusted(fetcher: &Fetcher, asked: Asked<'_>) -> Result<(Keys, Base), ApkSourceError> {
    let mut keys = Keys::default();
    for path in &asked.source.keys {
        let failed = |why: String| ApkSourceError::Key {
            path: path.clone(),
            why,
        };
        let file = asked.folder.join(path);
        let pem = lunikernel_cache::regular::read_bounded(&file, MAX_KEY)
            .map_err(|error| failed(format!("cannot be read: {error}")))?;
        let name = path.rsplit('/').next().unwrap_or(path);
        keys.add(name, &pem).map_err(failed)?;
    }
    let base = match (&asked.source.base, &asked.base) {
        (None, _) => Base::default(),
        (Some(name), None) => {
            return Err(ApkSourceError::NoBase { name: name.clone() });
        }
        (Some(name), Some(digest)) => {
            let base = base::read(fetcher.cache().blobs(), name, digest)?;
            base.trust(name, &mut keys)?;
            base
        }
    };
    if keys.is_empty() {
        return Err(ApkSourceError::NoKeys);
    }
    Ok((keys, base))
}

/// The packages that are needed beside those of the base, by name.
fn find(catalogue: &Catalogue, asked: Asked<'_>) -> Result<Vec<Chosen>, ApkSourceError> {
    let request = Request {
        packages: &asked.source.packages,
        without: &asked.source.without,
        keep: asked.keep,
    };
    let solution = solve(catalogue, request)?;
    let why = |number: usize| {
        let mut steps = Vec::new();
        let mut at = Some(number);
        while let Some(reason) = at.and_then(|number| solution.get(&number)) {
            let word = &reason.word;
            match reason.by.and_then(|number| catalogue.get(number)) {
                Some(by) => steps.push(format!("{} {}: `{word}`", by.name, by.version)),
                None => steps.push(format!("the recipe: `{word}`")),
            }
            at = reason.by;
        }
        steps
    };
    let mut chosen = Vec::new();
    for number in solution.keys() {
        let Some(package) = catalogue.get(*number) else {
            continue;
        };
        let repository = package.repository;
        let repository = repository.and_then(|number| asked.source.repositories.get(number));
        let Some(repository) = repository else {
            continue;
        };
        chosen.push(Chosen {
            name: package.name.to_string(),
            version: package.version.to_string(),
            repository: repository.clone(),
            checksum: package.checksum,
            size: package.size,
            url: below(repository, &[asked.arch.alpine(), &package.file_name()])?,
            why: why(*number),
        });
    }
    Ok(chosen)
}
