//! Fetching: by hash, from whoever has the bytes.
//!
//! A [`Want`] is looked for in the cache, then on the configured mirrors, then at its
//! own places in order. Only the hash decides: a place with other bytes is named and
//! passed over. Places that may answer better in a while are tried again, after all
//! others have been.

mod all;
mod bucket;
mod client;
mod credentials;
mod download;
mod error;
mod inputs_tars;
mod lacks;
mod options;
mod partial;
mod registry;
#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
pub(crate) mod trees;
mod unpinned;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{FuturesUnordered, StreamExt as _};
use lunikernel_cache::{Cache, Progress, Sha256};
use tokio::sync::Semaphore;
use url::Url;

use all::All;
pub(crate) use bucket::{Bucket, answer as bucket_answer};
pub(crate) use client::{Body, Opener, reason, status_answer};
pub(crate) use credentials::is_here;
pub use credentials::{Credentials, CredentialsError};
use download::Outcome;
pub(crate) use download::{Meter, asked_for, hashed};
pub(crate) use error::Trouble;
pub use error::shown;
pub use error::{Answer, Attempt, FetchError, Missing};
use lacks::Lacks;
pub use options::{FetchOptions, LARGEST};
pub(crate) use partial::blocking;

/// What addresses of mirrors may begin with.
pub const MIRROR_SCHEMES: [&str; 5] = ["file", "http", "https", "s3", "gs"];

/// Something that is wanted, and where it may be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// What people call it: a file name.
    pub name: String,
    /// What it must be.
    pub sha256: Sha256,
    /// How large it must be, where that is known.
    pub size: Option<u64>,
    /// Where it may be had, best first; hashed mirrors are tried before.
    pub places: Vec<Url>,
}

/// What came of fetching.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetchReport {
    /// How many files were fetched.
    pub fetched: usize,
    /// How many were in the cache already.
    pub cached: usize,
    /// How many bytes were fetched, those included that turned out wrong.
    pub bytes: u64,
}

/// Fetches. Clones share one client and what was learned about servers.
#[derive(Debug, Clone)]
pub struct Fetcher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cache: Cache,
    options: FetchOptions,
    progress: Arc<dyn Progress>,
    opener: Opener,
    slots: Semaphore,
    /// Servers that could not be reached or stalled, and how often in a row.
    failing: Mutex<BTreeMap<String, usize>>,
    /// Servers of which it was told that they cannot be reached or stalled.
    told: Mutex<BTreeSet<String>>,
}

impl Fetcher {
    /// A fetcher into `cache`.
    ///
    /// # Errors
    /// [`FetchError::Client`] where an option makes no sense: no download at once,
    /// or a mirror that is neither `file:` nor `http(s):`.
    pub fn new(
        cache: Cache,
        options: FetchOptions,
        progress: Arc<dyn Progress>,
    ) -> Result<Self, FetchError> {
        if options.parallel == 0 {
            return Err(FetchError::Client(
                "at least one download at once is needed".to_owned(),
            ));
        }
        for mirror in &options.mirrors {
            if !MIRROR_SCHEMES.contains(&mirror.scheme()) {
                return Err(FetchError::Client(format!(
                    "the mirror {} is neither `file:`, `http:`, `https:`, `s3:` nor `gs:`",
                    shown(mirror)
                )));
            }
        }
        Ok(Self {
            inner: Arc::new(Inner {
                opener: Opener::new(&options),
                slots: Semaphore::new(options.parallel),
                failing: Mutex::default(),
                told: Mutex::default(),
                cache,
                options,
                progress,
            }),
        })
    }

    /// The cache that it fetches into.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.inner.cache
    }

    /// How it fetches.
    #[must_use]
    pub fn options(&self) -> &FetchOptions {
        &self.inner.options
    }

    pub(crate) fn progress(&self) -> &dyn Progress {
        self.inner.progress.as_ref()
    }

    pub(crate) fn opener(&self) -> &Opener {
        &self.inner.opener
    }

    /// Brings everything that is wanted into the cache. What is there already is not
    /// read again. Whatever can be had is fetched, even where something else cannot.
    ///
    /// # Errors
    /// [`FetchError::Unavailable`] or [`FetchError::Offline`] with all that could not
    /// be had, in the order of `wants`; [`FetchError::Cache`] at once where the cache
    /// fails.
    pub async fn fetch(&self, wants: &[Want]) -> Result<FetchReport, FetchError> {
        let (report, missing) = self.fetch_what_there_is(wants).await?;
        self.accept(missing)?;
        Ok(report)
    }

    /// As [`Fetcher::fetch`], but what could not be had is returned, so that inputs
    /// which are fetched in other ways can be told of together with it.
    ///
    /// # Errors
    /// [`FetchError::Cache`] at once where the cache fails.
    pub async fn fetch_what_there_is(
        &self,
        wants: &[Want],
    ) -> Result<(FetchReport, Vec<Missing>), FetchError> {
        let wants = merge(wants);
        let mut all = self.all_of(&wants);
        let lacks = Arc::new(Lacks::default());
        let mut running: FuturesUnordered<_> = wants
            .into_iter()
            .enumerate()
            .map(|(index, want)| {
                let fetcher = self.clone();
                let all = all.as_ref().map(All::share);
                let lacks = Arc::clone(&lacks);
                // A task of its own, so that hashing uses all processors.
                let mut task = AbortOnDrop(tokio::spawn(async move {
                    let result = fetcher.download(&want, all, &lacks).await;
                    (want, result)
                }));
                async move { (index, (&mut task.0).await) }
            })
            .collect();
        let mut report = FetchReport::default();
        let mut missing = BTreeMap::new();
        while let Some((index, ended)) = running.next().await {
            let (want, result) = ended.map_err(|error| FetchError::Thread(error.to_string()))?;
            if let Some(all) = &mut all {
                all.passed(&want);
            }
            match result? {
                Outcome::Cached => report.cached += 1,
                Outcome::Fetched { bytes } => {
                    report.fetched += 1;
                    report.bytes += bytes;
                }
                Outcome::Failed { attempts } => {
                    missing.insert(
                        index,
                        Missing {
                            name: want.name,
                            sha256: want.sha256,
                            attempts,
                        },
                    );
                }
            }
        }
        // Where something is missing, what each place answered is told with it.
        if missing.is_empty() {
            if let Some(all) = all {
                all.finish();
            }
            lacks.tell(&self.inner.options.mirrors, self.progress());
        }
        Ok((report, missing.into_values().collect()))
    }

    /// Goes on if nothing is missing.
    ///
    /// # Errors
    /// [`FetchError::Unavailable`] or [`FetchError::Offline`] with all of `missing`.
    pub fn accept(&self, missing: Vec<Missing>) -> Result<(), FetchError> {
        if missing.is_empty() {
            return Ok(());
        }
        Err(if self.inner.options.offline {
            FetchError::Offline(missing)
        } else {
            FetchError::Unavailable(missing)
        })
    }

    /// The task of fetching all that is not there yet; none where all is.
    fn all_of(&self, wants: &[Want]) -> Option<All> {
        let missing: Vec<&Want> = wants
            .iter()
            .filter(|want| !partial::is_cached(self.cache(), want.sha256, want.size))
            .collect();
        // Where one size is not known, neither is their sum.
        let total = missing.iter().map(|want| want.size).sum();
        let waiting = missing.iter().map(|want| want.sha256).collect();
        (!missing.is_empty()).then(|| All::start(self.progress(), waiting, total))
    }

    /// Waits for one of the downloads that run at once to end.
    async fn slot(&self) -> Result<tokio::sync::SemaphorePermit<'_>, FetchError> {
        let slot = self.inner.slots.acquire().await;
        slot.map_err(|error| FetchError::Thread(error.to_string()))
    }

    pub(crate) async fn wait(&self, retry: u32, asked: Option<std::time::Duration>) {
        tokio::time::sleep(self.inner.options.wait(retry, asked)).await;
    }

    /// How often in a row the server of `url` could not be reached.
    fn failures(&self, url: &Url) -> usize {
        let failing = self
            .inner
            .failing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        failing
            .get(&url.origin().ascii_serialization())
            .copied()
            .unwrap_or(0)
    }

    /// Whether a note about that answer is the first of its kind: that a server cannot be
    /// reached is the same for all that it may have.
    fn is_first_told(&self, url: &Url, answer: &Answer) -> bool {
        let mut told = self
            .inner
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        !answer.is_about_server() || told.insert(url.origin().ascii_serialization())
    }

    /// Remembers how a server behaved.
    fn learn(&self, url: &Url, answer: Option<&Answer>) {
        let mut failing = self
            .inner
            .failing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let server = url.origin().ascii_serialization();
        if answer.is_some_and(Answer::is_about_server) {
            *failing.entry(server).or_default() += 1;
        } else {
            failing.remove(&server);
        }
    }
}

/// The same bytes are wanted once, from all the places that anyone named for them.
fn merge(wants: &[Want]) -> Vec<Want> {
    let mut merged: Vec<Want> = Vec::with_capacity(wants.len());
    let mut known = BTreeMap::new();
    for want in wants {
        let index = *known
            .entry((want.sha256, want.size))
            .or_insert(merged.len());
        match merged.get_mut(index) {
            None => merged.push(want.clone()),
            Some(first) => first.places.extend(want.places.iter().cloned()),
        }
    }
    merged
}

/// Ends a task when no one waits for it any more.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
