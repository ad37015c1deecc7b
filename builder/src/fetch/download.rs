//! The download of one wanted file, from place to place.

use std::time::Duration;

use lunikernel_cache::{Progress, Sha256, Task};
use url::Url;

use super::all::Shared;
use super::error::{Answer, Attempt, FetchError, Trouble, shown};
use super::lacks::Lacks;
use super::partial::{Partial, is_cached};
use super::{Fetcher, Want};

/// So many bytes in one round of tries are worth another full set of tries: a large
/// file comes through a bad line in the end, and a place that drips does not keep
/// anyone for ever.
const WORTH_GOING_ON: u64 = 1 << 20;

/// What came of one want.
#[derive(Debug)]
pub(super) enum Outcome {
    Cached,
    Fetched { bytes: u64 },
    Failed { attempts: Vec<Attempt> },
}

/// A place where the file may be, and what it answered so far.
struct Place {
    url: Url,
    /// The mirror that it is of, if it is of one.
    mirror: Option<Url>,
    answer: Option<Answer>,
    tries: u32,
}

impl Place {
    /// Whether trying it may be of use.
    fn stands(&self) -> bool {
        self.answer.as_ref().is_none_or(Answer::is_transient)
    }
}

impl Fetcher {
    /// Brings one wanted file into the cache.
    pub(super) async fn download(
        &self,
        want: &Want,
        all: Option<Shared>,
        lacks: &Lacks,
    ) -> Result<Outcome, FetchError> {
        if is_cached(self.cache(), want.sha256, want.size) {
            return Ok(Outcome::Cached);
        }
        let mut places = self.places(want);
        if places.is_empty() {
            return Ok(Outcome::Failed {
                attempts: Vec::new(),
            });
        }
        let _slot = self.slot().await?;
        let Some(mut partial) = Partial::open(self.cache(), want.sha256, want.size).await? else {
            return Ok(Outcome::Cached);
        };
        let mut meter = Meter::part(self.progress(), &want.name, want.size, all);
        meter.reached(partial.len());
        let found = self
            .look_everywhere(want, &mut places, &mut partial, &mut meter)
            .await;
        for place in places.iter().filter(|place| place.tries > 0) {
            if let Some(mirror) = &place.mirror {
                lacks.add(mirror, place.answer == Some(Answer::NotThere));
            }
        }
        match found {
            Ok(true) => {
                partial.adopt().await?;
                let bytes = meter.received;
                meter.finish();
                Ok(Outcome::Fetched { bytes })
            }
            Ok(false) => {
                partial.abandon();
                Ok(Outcome::Failed {
                    attempts: places.into_iter().filter_map(attempt).collect(),
                })
            }
            Err(error) => {
                partial.abandon();
                Err(error)
            }
        }
    }

    /// Mirrors first, then the file's own places, each once. Offline, only those on
    /// this machine.
    fn places(&self, want: &Want) -> Vec<Place> {
        let options = self.options();
        let mirrored = options.mirrors.iter();
        let mirrored = mirrored.map(|base| (hashed(base, &want.sha256), Some(base.clone())));
        let recorded = want.places.iter().filter(|_| !options.only_mirrors);
        let recorded = recorded.map(|url| (url.clone(), None));
        let mut places: Vec<Place> = Vec::new();
        for (url, mirror) in mirrored.chain(recorded) {
            let usable = !options.offline || url.scheme() == "file";
            if usable && places.iter().all(|place| place.url != url) {
                places.push(Place {
                    url,
                    mirror,
                    answer: None,
                    tries: 0,
                });
            }
        }
        places
    }

    /// Goes through the places, again and again with growing waits while there are
    /// some that may answer better. True when `partial` is the file.
    async fn look_everywhere(
        &self,
        want: &Want,
        places: &mut [Place],
        partial: &mut Partial,
        meter: &mut Meter,
    ) -> Result<bool, FetchError> {
        if want.size == Some(partial.len()) {
            if partial.digest().sha256 == want.sha256 {
                return Ok(true);
            }
            partial.reset()?;
        }
        let mut retry = 0;
        loop {
            let before = meter.received;
            let mut asked = None;
            // Servers that fail are tried last: the first file pays for finding out.
            let mut order: Vec<&mut Place> =
                places.iter_mut().filter(|place| place.stands()).collect();
            order.sort_by_key(|place| self.failures(&place.url) > 0);
            for place in order {
                place.tries += 1;
                match self.try_place(&place.url, want, partial, meter).await {
                    Ok(()) => {
                        self.learn(&place.url, None);
                        return Ok(true);
                    }
                    Err(Trouble::Fatal(error)) => return Err(error),
                    Err(Trouble::Answer(answer)) => {
                        self.learn(&place.url, Some(&answer));
                        let news = place.answer.as_ref() != Some(&answer);
                        if answer != Answer::NotThere
                            && news
                            && self.is_first_told(&place.url, &answer)
                        {
                            self.progress().note(&format!(
                                "passed over {} for {}: {answer}",
                                shown(&place.url),
                                want.name
                            ));
                        }
                        asked = asked.max(asked_for(&answer));
                        place.answer = Some(answer);
                    }
                }
            }
            if meter.received - before >= WORTH_GOING_ON {
                retry = 0;
            }
            // Once all downloads at once have tried a server as often as they may, the
            // files after these do not wait for it any more.
            let patience = (self.options().retries as usize + 1) * self.options().parallel;
            let hopeful = places
                .iter()
                .any(|place| place.stands() && self.failures(&place.url) < patience);
            if !hopeful || retry >= self.options().retries {
                return Ok(false);
            }
            self.wait(retry, asked).await;
            retry += 1;
        }
    }

    /// Downloads from one place, going on from what there is; from the beginning
    /// where that leads to other bytes, because what there was may have been wrong.
    async fn try_place(
        &self,
        url: &Url,
        want: &Want,
        partial: &mut Partial,
        meter: &mut Meter,
    ) -> Result<(), Trouble> {
        let answer = match self
            .try_from(partial.len(), url, want, partial, meter)
            .await
        {
            Err(Tried {
                trouble: Trouble::Answer(answer),
                resumed,
            }) => {
                let wrong = matches!(answer, Answer::WrongBytes(_) | Answer::WrongSize { .. });
                if !(wrong && resumed) {
                    return Err(answer.into());
                }
                self.try_from(0, url, want, partial, meter).await
            }
            other => other,
        };
        answer.map_err(|tried| tried.trouble)
    }

    async fn try_from(
        &self,
        from: u64,
        url: &Url,
        want: &Want,
        partial: &mut Partial,
        meter: &mut Meter,
    ) -> Result<(), Tried> {
        let fresh = |trouble: Trouble| Tried {
            trouble,
            resumed: false,
        };
        let mut body = self.opener().open(url, from).await.map_err(fresh)?;
        let resumed = body.start > 0;
        let tried = |trouble: Trouble| Tried { trouble, resumed };
        if let (Some(total), Some(size)) = (body.total, want.size)
            && total != size
        {
            return Err(tried(
                Answer::WrongSize {
                    actual: total,
                    expected: size,
                }
                .into(),
            ));
        }
        if !resumed && partial.len() > 0 {
            partial.reset().map_err(|error| tried(error.into()))?;
        }
        // What is wanted is what a stranger's lock may say.
        let limit = self.options().limit;
        let most = want.size.map_or(limit, |size| size.min(limit));
        let mut piece = Vec::new();
        loop {
            body.read(&mut piece).await.map_err(|a| tried(a.into()))?;
            if piece.is_empty() {
                break;
            }
            meter.received += piece.len() as u64;
            let size = check_size(partial.len() + piece.len() as u64, most);
            if let Err(answer) = size {
                partial.reset().map_err(|error| tried(error.into()))?;
                return Err(tried(answer.into()));
            }
            partial
                .append(&piece)
                .map_err(|error| tried(error.into()))?;
            meter.reached(partial.len());
        }
        // A body that ends with the connection, early: HTTP has no way to tell.
        if want.size.is_some_and(|size| partial.len() < size) {
            return Err(tried(
                Answer::Cut {
                    got: partial.len(),
                    expected: want.size,
                }
                .into(),
            ));
        }
        let digest = partial.digest();
        if digest.sha256 == want.sha256 {
            return Ok(());
        }
        partial.reset().map_err(|error| tried(error.into()))?;
        Err(tried(Answer::WrongBytes(digest).into()))
    }
}

/// One try that failed, and whether it went on from bytes that were there before.
struct Tried {
    trouble: Trouble,
    resumed: bool,
}

fn attempt(place: Place) -> Option<Attempt> {
    Some(Attempt {
        place: shown(&place.url),
        answer: place.answer?,
        tries: place.tries,
    })
}

/// Where a hashed mirror has a file: `BASE/sha256/HEX`.
pub(crate) fn hashed(base: &Url, sha256: &Sha256) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("sha256").push(&sha256.hex());
    }
    url
}

/// How long an answer asks to be left alone.
pub(crate) fn asked_for(answer: &Answer) -> Option<Duration> {
    match answer {
        Answer::Status { retry_after, .. } => *retry_after,
        _ => None,
    }
}

/// Refuses more than `most` bytes.
pub(super) fn check_size(actual: u64, most: u64) -> Result<(), Answer> {
    if actual > most {
        return Err(Answer::WrongSize {
            actual,
            expected: most,
        });
    }
    Ok(())
}

/// Tells the user how far a download is. A file that is begun anew does not run
/// backwards: its bar stands until it is where it was.
pub(crate) struct Meter {
    task: Box<dyn Task>,
    /// What this is a part of.
    all: Option<Shared>,
    reached: u64,
    received: u64,
}

impl Meter {
    pub(crate) fn start(progress: &dyn Progress, name: &str, size: Option<u64>) -> Self {
        Self {
            task: progress.start("fetching", name, size),
            all: None,
            reached: 0,
            received: 0,
        }
    }

    /// As [`Meter::start`], for one of many.
    fn part(progress: &dyn Progress, name: &str, size: Option<u64>, all: Option<Shared>) -> Self {
        Self {
            task: progress.part("fetching", name, size),
            all,
            reached: 0,
            received: 0,
        }
    }

    pub(crate) fn reached(&mut self, offset: u64) {
        if offset > self.reached {
            let more = offset - self.reached;
            self.task.advance(more);
            if let Some(all) = &self.all {
                all.advance(more);
            }
            self.reached = offset;
        }
    }

    pub(crate) fn finish(self) {
        self.task.finish("");
    }
}
