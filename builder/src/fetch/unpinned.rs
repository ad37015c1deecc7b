//! Fetching what is known by its address alone.

use std::io::Write as _;

use lunikernel_cache::{CacheError, Digest};
use reqwest::Method;
use url::Url;

use super::download::{Meter, asked_for, check_size};
use super::error::{Answer, Attempt, FetchError, Trouble, shown};
use super::{Fetcher, blocking};

impl Fetcher {
    /// Whether whoever serves `url` can be reached, asked once and without patience. What
    /// it answers does not matter.
    ///
    /// # Errors
    /// [`FetchError::NoNetwork`] where the network may not be used,
    /// [`FetchError::Failed`] where nobody answers.
    pub async fn reach(&self, url: &Url) -> Result<(), FetchError> {
        self.may_reach(url)?;
        let request = self.opener().request(Method::HEAD, url)?;
        match self.opener().send(request).await {
            Err(answer) if answer.is_about_server() => Err(FetchError::Failed(Attempt {
                place: shown(url),
                answer,
                tries: 1,
            })),
            _ => Ok(()),
        }
    }

    /// The bytes at `url`, at most `limit` of them, for what is not known by hash:
    /// indexes, which carry signatures instead.
    ///
    /// # Errors
    /// [`FetchError::NotFound`] where it is not there, [`FetchError::NoNetwork`] where
    /// the network may not be used, [`FetchError::Failed`] where it cannot be had or
    /// is larger.
    pub async fn get(&self, url: &Url, limit: u64) -> Result<Vec<u8>, FetchError> {
        self.may_reach(url)?;
        let _slot = self.slot().await?;
        let mut tries = 0;
        loop {
            match self.get_once(url, limit).await {
                Ok(bytes) => return Ok(bytes),
                Err(trouble) => self.wait_or_give_up(url, &mut tries, trouble).await?,
            }
        }
    }

    async fn get_once(&self, url: &Url, limit: u64) -> Result<Vec<u8>, Trouble> {
        let mut body = self.opener().open(url, 0).await?;
        let mut bytes = Vec::new();
        let mut piece = Vec::new();
        loop {
            body.read(&mut piece).await?;
            if piece.is_empty() {
                return Ok(bytes);
            }
            check_size((bytes.len() + piece.len()) as u64, limit)?;
            bytes.extend_from_slice(&piece);
        }
    }

    /// Fetches what is at `url` into the cache and says what it is, for the first
    /// lock of a file whose author gave no hash.
    ///
    /// # Errors
    /// As [`Fetcher::get`], or [`FetchError::Cache`].
    pub async fn fetch_unpinned(&self, name: &str, url: &Url) -> Result<Digest, FetchError> {
        self.may_reach(url)?;
        let _slot = self.slot().await?;
        let mut tries = 0;
        let digest = loop {
            match self.fetch_unpinned_once(name, url).await {
                Ok(digest) => break digest,
                Err(trouble) => self.wait_or_give_up(url, &mut tries, trouble).await?,
            }
        };
        let cache = self.cache().clone();
        blocking(move || cache.sync()).await?;
        Ok(digest)
    }

    async fn fetch_unpinned_once(&self, name: &str, url: &Url) -> Result<Digest, Trouble> {
        let limit = self.options().limit;
        let mut body = self.opener().open(url, 0).await?;
        check_size(body.total.unwrap_or(0), limit)?;
        let mut meter = Meter::start(self.progress(), name, body.total);
        let mut writer = self.cache().blobs().writer()?;
        let mut piece = Vec::new();
        loop {
            body.read(&mut piece).await?;
            if piece.is_empty() {
                break;
            }
            check_size(writer.written() + piece.len() as u64, limit)?;
            writer
                .write_all(&piece)
                .map_err(CacheError::io("write a download to the cache"))?;
            meter.reached(writer.written());
        }
        let digest = writer.commit()?;
        meter.finish();
        Ok(digest)
    }

    fn may_reach(&self, url: &Url) -> Result<(), FetchError> {
        if self.options().offline && url.scheme() != "file" {
            return Err(FetchError::NoNetwork { place: shown(url) });
        }
        Ok(())
    }

    /// Waits before the next try, or says why there is none.
    async fn wait_or_give_up(
        &self,
        url: &Url,
        tries: &mut u32,
        trouble: Trouble,
    ) -> Result<(), FetchError> {
        *tries += 1;
        match trouble {
            Trouble::Fatal(error) => Err(error),
            Trouble::Answer(Answer::NotThere) => Err(FetchError::NotFound { url: url.clone() }),
            Trouble::Answer(answer)
                if answer.is_transient() && *tries <= self.options().retries =>
            {
                self.wait(*tries - 1, asked_for(&answer)).await;
                Ok(())
            }
            Trouble::Answer(answer) => Err(FetchError::Failed(Attempt {
                place: shown(url),
                answer,
                tries: *tries,
            })),
        }
    }
}
