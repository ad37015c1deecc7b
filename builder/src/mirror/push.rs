//! Bringing blobs to a mirror.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use lunikernel_cache::{Digest, Sha256, Task};
use object_store::path::Path;
use serde::Serialize;
use url::Url;

use super::MirrorError;
use super::bucket;
use super::folder::Folder;
use super::web::{self, Found};
use crate::fetch::{
    Answer, Attempt, Bucket, Fetcher, MIRROR_SCHEMES, Trouble, asked_for, blocking, hashed, shown,
};

/// From so many files on a bucket is listed: a listing costs a request for each thousand
/// objects that it has, and asking costs one for each file.
const WORTH_LISTING: usize = 32;

/// What came of a push.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// How many files were brought there, or would be.
    pub pushed: usize,
    /// How many bytes these have.
    pub bytes: u64,
    /// How many were there already.
    pub present: usize,
}

/// Brings `blobs` from the fetcher's cache to the mirror at `url`, several at once, and
/// passes over what is there in its full size. With `dry_run` it only says what it
/// would do.
///
/// # Errors
/// [`MirrorError`] at the first file that cannot be brought there; those before it are
/// there, and the next push passes over them.
pub async fn push(
    fetcher: &Fetcher,
    url: &Url,
    blobs: &[Digest],
    dry_run: bool,
) -> Result<Pushed, MirrorError> {
    let mirror = Mirror::open(fetcher, url)?;
    let mut blobs = blobs.to_vec();
    blobs.sort_unstable();
    blobs.dedup();
    let listed = match &mirror.place {
        Place::Folder(_) => Some(mirror.list().await?),
        Place::Bucket(..) if blobs.len() >= WORTH_LISTING => Some(mirror.list().await?),
        Place::Bucket(..) | Place::Web => None,
    };
    let total = blobs.iter().map(|blob| blob.size).sum();
    let what = format!("{} files to {}", blobs.len(), shown(url));
    let verb = if dry_run { "comparing" } else { "pushing" };
    let task = fetcher.progress().start(verb, &what, Some(total));
    let (mirror, listed, task_of_all) = (&mirror, listed.as_ref(), task.as_ref());
    let mut running = stream::iter(blobs)
        .map(|blob| async move {
            let found = match listed {
                Some(listed) => listed
                    .get(&blob.sha256)
                    .map_or(Found::Nothing, |size| Found::Something(Some(*size))),
                None => mirror.look(&blob).await?,
            };
            let is_there = found == Found::Something(Some(blob.size));
            if !is_there && !dry_run {
                mirror.bring(&blob, found).await?;
            }
            task_of_all.advance(blob.size);
            Ok::<_, MirrorError>((blob, is_there))
        })
        .buffer_unordered(fetcher.options().parallel);
    let mut pushed = Pushed::default();
    while let Some(done) = running.next().await {
        match done? {
            (_, true) => pushed.present += 1,
            (blob, false) => {
                pushed.pushed += 1;
                pushed.bytes += blob.size;
            }
        }
    }
    drop(running);
    finish(task);
    Ok(pushed)
}

/// Which of `blobs` the mirror at `url` does not have in their full size. Nothing is read
/// but what it says of each.
///
/// # Errors
/// [`MirrorError::Address`] where a folder is not there, [`MirrorError::Ask`] where the
/// mirror does not answer.
pub async fn lacking(
    fetcher: &Fetcher,
    url: &Url,
    blobs: &[Digest],
) -> Result<Vec<Digest>, MirrorError> {
    there(url)?;
    let mut lacking: Vec<Digest> = stream::iter(blobs)
        .map(|blob| async move {
            let place = hashed(url, &blob.sha256);
            let size = match url.scheme() {
                // Many servers know HEAD; the others are asked for the file itself.
                "http" | "https" => match ask(fetcher, &place, true).await? {
                    Found::Unknown => ask(fetcher, &place, false).await?,
                    found => found,
                },
                _ => ask(fetcher, &place, false).await?,
            };
            let is_there =
                matches!(size, Found::Something(size) if size.is_none_or(|it| it == blob.size));
            Ok::<_, MirrorError>((!is_there).then_some(*blob))
        })
        .buffer_unordered(fetcher.options().parallel)
        .try_filter_map(|found| async move { Ok(found) })
        .try_collect()
        .await?;
    lacking.sort_unstable();
    Ok(lacking)
}

/// Refuses a mirror on this machine that is not there: one that has nothing is another
/// thing.
///
/// # Errors
/// [`MirrorError::Address`].
pub fn there(url: &Url) -> Result<(), MirrorError> {
    match url.to_file_path() {
        Ok(path) if url.scheme() == "file" && !path.exists() => Err(MirrorError::Address {
            mirror: shown(url),
            why: "it is not there".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// What is at `place`, of which nothing is read.
async fn ask(fetcher: &Fetcher, place: &Url, by_head: bool) -> Result<Found, MirrorError> {
    let mut tries = 0;
    loop {
        let answer = match by_head {
            true => web::head(fetcher, place).await,
            false => {
                let opened = fetcher.opener().open(place, 0).await;
                opened.map(|body| Found::Something(body.total))
            }
        };
        tries += 1;
        match answer {
            Ok(found) => return Ok(found),
            Err(Trouble::Answer(Answer::NotThere)) => return Ok(Found::Nothing),
            Err(Trouble::Answer(answer))
                if answer.is_transient() && tries <= fetcher.options().retries =>
            {
                fetcher.wait(tries - 1, asked_for(&answer)).await;
            }
            Err(Trouble::Answer(answer)) => {
                return Err(MirrorError::Ask(Attempt {
                    place: shown(place),
                    answer,
                    tries,
                }));
            }
            Err(Trouble::Fatal(error)) => return Err(error.into()),
        }
    }
}

/// Everything that the mirror at `url` has.
///
/// # Errors
/// [`MirrorError::NoList`] for web servers, [`MirrorError::List`] where it does not answer.
pub async fn list(fetcher: &Fetcher, url: &Url) -> Result<Vec<Digest>, MirrorError> {
    let found = Mirror::open(fetcher, url)?.list().await?;
    let digest = |(sha256, size)| Digest { sha256, size };
    Ok(found.into_iter().map(digest).collect())
}

fn finish(task: Box<dyn Task>) {
    task.finish("");
}

/// A mirror that is written to.
struct Mirror<'a> {
    fetcher: &'a Fetcher,
    url: &'a Url,
    place: Place,
}

enum Place {
    Folder(Folder),
    Web,
    Bucket(Bucket, Path),
}

impl<'a> Mirror<'a> {
    fn open(fetcher: &'a Fetcher, url: &'a Url) -> Result<Self, MirrorError> {
        let wrong = |why: &str| MirrorError::Address {
            mirror: shown(url),
            why: why.to_owned(),
        };
        if !MIRROR_SCHEMES.contains(&url.scheme()) {
            return Err(wrong("mirrors are not reached that way"));
        }
        if url.scheme() != "file" && fetcher.options().offline {
            return Err(MirrorError::NoNetwork { mirror: shown(url) });
        }
        let place = match url.scheme() {
            "file" => {
                let root: PathBuf = url
                    .to_file_path()
                    .map_err(|()| wrong("it names no local folder"))?;
                if root.is_file() {
                    return Err(wrong("it is a file; only folders are written to"));
                }
                Place::Folder(Folder::new(&root))
            }
            "s3" | "gs" => {
                let (bucket, path) = fetcher.opener().buckets().open(url)?;
                Place::Bucket(bucket, path.join("sha256"))
            }
            _ => Place::Web,
        };
        Ok(Self {
            fetcher,
            url,
            place,
        })
    }

    async fn list(&self) -> Result<BTreeMap<Sha256, u64>, MirrorError> {
        let listed = match &self.place {
            Place::Folder(folder) => {
                let folder = folder.clone();
                on_thread(move || folder.list()).await?
            }
            Place::Bucket(bucket, folder) => bucket::list(bucket, folder).await,
            Place::Web => {
                return Err(MirrorError::NoList {
                    mirror: shown(self.url),
                });
            }
        };
        listed.map_err(|trouble| self.failed(trouble, self.url, 1, MirrorError::List))
    }

    /// What is there under the name of `blob`.
    async fn look(&self, blob: &Digest) -> Result<Found, MirrorError> {
        let url = hashed(self.url, &blob.sha256);
        self.patiently(&url, || async {
            Ok(match &self.place {
                Place::Web => web::head(self.fetcher, &url).await?,
                Place::Bucket(bucket, folder) => {
                    match bucket::head(bucket, &folder.clone().join(blob.sha256.hex())).await? {
                        Some(size) => Found::Something(Some(size)),
                        None => Found::Nothing,
                    }
                }
                Place::Folder(_) => Found::Unknown,
            })
        })
        .await
    }

    /// Brings one blob there, in the place of the damaged one that was `found`.
    async fn bring(&self, blob: &Digest, found: Found) -> Result<(), MirrorError> {
        let url = hashed(self.url, &blob.sha256);
        let cache = self.fetcher.cache().clone();
        if let Place::Folder(folder) = &self.place {
            let (folder, blob) = (folder.clone(), *blob);
            let put = on_thread(move || folder.put(cache.blobs(), &blob)).await?;
            return put.map_err(|trouble| self.failed(trouble, &url, 1, MirrorError::Push));
        }
        // Others would be served what a failing disk made of it.
        let checked = *blob;
        blocking(move || cache.blobs().verify(&checked, &checked.sha256.hex())).await?;
        // What a try left half there is to be replaced by the next.
        let replace = std::cell::Cell::new(matches!(found, Found::Something(Some(_))));
        self.patiently(&url, || async {
            match &self.place {
                Place::Bucket(bucket, folder) => {
                    let path = folder.clone().join(blob.sha256.hex());
                    bucket::put(bucket, &path, self.fetcher.cache().blobs(), blob).await
                }
                _ => {
                    let replace = replace.replace(true);
                    web::put(self.fetcher, &url, blob, replace).await
                }
            }
        })
        .await
    }

    /// Does something again, with growing waits, while its answer may become better.
    async fn patiently<T, F: Future<Output = Result<T, Trouble>>>(
        &self,
        url: &Url,
        mut work: impl FnMut() -> F,
    ) -> Result<T, MirrorError> {
        let mut retry = 0;
        loop {
            let asked = match work().await {
                Ok(done) => return Ok(done),
                Err(Trouble::Answer(answer))
                    if answer.is_transient() && retry < self.fetcher.options().retries =>
                {
                    asked_for(&answer)
                }
                Err(trouble) => {
                    return Err(self.failed(trouble, url, retry + 1, MirrorError::Push));
                }
            };
            self.fetcher.wait(retry, asked).await;
            retry += 1;
        }
    }

    fn failed(
        &self,
        trouble: Trouble,
        url: &Url,
        tries: u32,
        wrap: impl Fn(Attempt) -> MirrorError,
    ) -> MirrorError {
        match trouble {
            Trouble::Answer(answer) => wrap(Attempt {
                place: shown(url),
                answer,
                tries,
            }),
            Trouble::Fatal(error) => error.into(),
        }
    }
}

/// Runs what waits for a disk on a thread made for that.
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<Result<T, Trouble>, MirrorError> {
    Ok(blocking(move || Ok::<_, crate::fetch::FetchError>(work())).await?)
}
