//! The HTTP client, and bodies that come from it or from a local file.

use std::error::Error as _;
use std::ffi::CStr;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use lunikernel_cache::regular::open_regular;
use object_store::{GetOptions, GetRange, ObjectStoreExt as _};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_RANGE, RANGE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Method, Response, StatusCode};
use tokio::io::AsyncReadExt as _;
use url::Url;

use super::bucket::{self, Buckets};
use super::credentials::Credentials;
use super::error::{Answer, FetchError, Trouble};
use super::inputs_tars::InputsTars;
use super::options::FetchOptions;
use super::registry::{self, Tokens};

/// Longest chain of redirects that is followed; browsers follow 20, mirrors need 2.
const MAX_REDIRECTS: usize = 10;
/// How much of a local file is read at once.
const FILE_CHUNK: usize = 1 << 20;

/// Opens addresses. The client for HTTP is made when the first address needs it: it
/// reads the machine's certificates, which builds that fetch nothing need not pay for.
#[derive(Debug)]
pub(crate) struct Opener {
    connect_timeout: Duration,
    idle_timeout: Duration,
    slowest: u64,
    http: OnceLock<Result<reqwest::Client, String>>,
    credentials: Credentials,
    buckets: Buckets,
    inputs_tars: InputsTars,
    tokens: Tokens,
}

impl Opener {
    pub(crate) fn new(options: &FetchOptions) -> Self {
        Self {
            connect_timeout: options.connect_timeout,
            idle_timeout: options.idle_timeout,
            slowest: options.slowest,
            http: OnceLock::new(),
            credentials: options.credentials.clone(),
            buckets: Buckets::default(),
            inputs_tars: InputsTars::default(),
            tokens: Tokens::default(),
        }
    }

    /// A request by HTTP, with what is to be shown to that server.
    pub(crate) fn request(
        &self,
        method: Method,
        url: &Url,
    ) -> Result<reqwest::RequestBuilder, FetchError> {
        let request = self.http()?.request(method, url.clone());
        Ok(match self.credentials.header(url) {
            Some(header) => request.header(AUTHORIZATION, header),
            None => request,
        })
    }

    /// Whether somebody is to be shown to that server.
    pub(super) fn knows(&self, url: &Url) -> bool {
        self.credentials.header(url).is_some()
    }

    /// The buckets of object stores.
    pub(crate) fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// The tokens of registries.
    pub(super) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The client for HTTP.
    pub(crate) fn http(&self) -> Result<&reqwest::Client, FetchError> {
        self.http
            .get_or_init(|| build(self.connect_timeout))
            .as_ref()
            .map_err(|why| FetchError::Client(why.clone()))
    }

    /// Opens the file at `url` at offset `from`, or at its beginning where the place
    /// cannot do that: [`Body::start`] says which.
    pub(crate) async fn open(&self, url: &Url, from: u64) -> Result<Body, Trouble> {
        match url.scheme() {
            "file" => Ok(self.open_file(url).await?),
            "http" | "https" => {
                if let Some(repository) = registry::repository(url) {
                    return self.open_registry(url, from, repository).await;
                }
                let request = self.request(Method::GET, url)?;
                self.open_http(request, from).await
            }
            _ if bucket::is_bucket(url) => self.open_object(url, from).await,
            other => Err(Answer::Unusable(format!(
                "`{other}:` is no address to fetch from: expected `https:`, `http:` or `file:`"
            ))
            .into()),
        }
    }

    async fn open_file(&self, url: &Url) -> Result<Body, Answer> {
        let path = url
            .to_file_path()
            .map_err(|()| Answer::Unusable("it names no local file".to_owned()))?;
        let unusable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Answer::NotThere,
            _ => Answer::Unusable(format!("it cannot be read: {error}")),
        };
        let named = path.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let file = open_regular(&named)?;
            let size = file.metadata()?.len();
            Ok::<_, io::Error>((file.into_parts().0, size))
        });
        let opened = opened.await.map_err(io::Error::other);
        let (file, size) = match opened.and_then(|opened| opened) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return self.open_in_tar(path).await;
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(Answer::Unusable("it is no regular file".to_owned()));
            }
            opened => opened.map_err(unusable)?,
        };
        let mut file = tokio::fs::File::from_std(file);
        file.set_max_buf_size(FILE_CHUNK);
        Ok(self.file_body(file, size))
    }

    /// A file of a mirror that is not a folder but one file.
    async fn open_in_tar(&self, path: PathBuf) -> Result<Body, Answer> {
        let part = self.inputs_tars.open(path).await?;
        let mut file = tokio::fs::File::from_std(part.file.into_parts().0);
        file.set_max_buf_size(FILE_CHUNK);
        Ok(self.file_body(file, part.size))
    }

    fn file_body(&self, file: tokio::fs::File, size: u64) -> Body {
        Body {
            source: BodySource::File(file.take(size)),
            start: 0,
            total: Some(size),
            pace: self.pace(),
        }
    }

    async fn open_object(&self, url: &Url, from: u64) -> Result<Body, Trouble> {
        let (bucket, path) = self.buckets.open(url)?;
        let options = GetOptions {
            range: (from > 0).then_some(GetRange::Offset(from)),
            ..GetOptions::default()
        };
        let got = match bucket.get_opts(&path, options).await {
            // What there is of it may be all, or more: then it is had from the beginning.
            Err(_) if from > 0 => bucket.get(&path).await,
            got => got,
        };
        let got = got.map_err(bucket::answer)?;
        Ok(Body {
            start: got.range.start,
            total: Some(got.meta.size),
            source: BodySource::Object(got.into_stream()),
            pace: self.pace(),
        })
    }

    pub(super) async fn open_http(
        &self,
        request: reqwest::RequestBuilder,
        from: u64,
    ) -> Result<Body, Trouble> {
        let request = request.header(ACCEPT_ENCODING, "identity");
        if from > 0
            && let Some(again) = request.try_clone()
        {
            let response = self
                .send(again.header(RANGE, format!("bytes={from}-")))
                .await?;
            let fits = response.status() == StatusCode::PARTIAL_CONTENT
                && range_start(&response) == Some(from);
            // A server that does not know ranges answers 200 with the whole file.
            if fits || !is_range_answer(response.status()) {
                return Ok(self.body(response, if fits { from } else { 0 })?);
            }
        }
        let response = self.send(request).await?;
        Ok(self.body(response, 0)?)
    }

    /// Sends a request and waits for the head of the response.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, Answer> {
        match tokio::time::timeout(self.connect_timeout + self.idle_timeout, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_redirect() => Err(Answer::Redirect(reason(error))),
            Ok(Err(error)) if error.is_builder() => Err(Answer::Unusable(reason(error))),
            Ok(Err(error)) if is_no_such_name(&error) => Err(Answer::NoSuchName(reason(error))),
            Ok(Err(error)) => Err(Answer::Unreachable(reason(error))),
            Err(_) => Err(Answer::Stalled(self.idle_timeout)),
        }
    }

    /// The body of a response, where its status says that it is the file.
    pub(crate) fn body(&self, response: Response, start: u64) -> Result<Body, Answer> {
        let status = response.status();
        let wanted = if start > 0 {
            StatusCode::PARTIAL_CONTENT
        } else {
            StatusCode::OK
        };
        if status != wanted {
            return Err(match status {
                StatusCode::NOT_FOUND | StatusCode::GONE => Answer::NotThere,
                // What the client can follow, it has followed.
                _ if status.is_redirection() => {
                    Answer::Redirect("it leads to no address that can be fetched from".to_owned())
                }
                _ => status_answer(&response),
            });
        }
        Ok(Body {
            start,
            total: response
                .content_length()
                .and_then(|length| length.checked_add(start)),
            source: BodySource::Http(Box::new(response)),
            pace: self.pace(),
        })
    }

    fn pace(&self) -> Pace {
        Pace {
            idle_timeout: self.idle_timeout,
            slowest: self.slowest,
            since: Instant::now(),
            bytes: 0,
        }
    }
}

fn build(connect_timeout: Duration) -> Result<reqwest::Client, String> {
    // An error says that one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        reqwest::Client::builder()
            .user_agent(concat!("luni/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(connect_timeout)
            .redirect(Policy::custom(follow))
    };
    // A small machine may have no certificates at all, which must not keep plain
    // HTTP from working; HTTPS then fails with an error about the certificate.
    builder()
        .build()
        .or_else(|_| builder().tls_certs_only([]).build())
        .map_err(reason)
}

fn follow(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    match why_not(attempt.previous(), attempt.url()) {
        None => attempt.follow(),
        Some(why) => attempt.error(why),
    }
}

/// Why a redirect from the last of `previous` to `next` is not followed, if it is not.
fn why_not(previous: &[Url], next: &Url) -> Option<String> {
    if previous.len() > MAX_REDIRECTS {
        return Some(format!("it leads on more than {MAX_REDIRECTS} times"));
    }
    let was_encrypted = previous.iter().any(|url| url.scheme() == "https");
    match next.scheme() {
        "https" => None,
        "http" if was_encrypted => Some("it leads from https to http".to_owned()),
        "http" => None,
        other => Some(format!("it leads to an address of kind `{other}:`")),
    }
}

/// An error of the client with all its causes, without the address, which the
/// caller names.
pub(crate) fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

/// Whether the server's name does not exist. A name service that does not answer is
/// another matter: it may do so in a while.
fn is_no_such_name(error: &reqwest::Error) -> bool {
    // The standard library keeps the C library's words and not its number.
    // SAFETY: it takes any number, and returns a text that lives as long as the program.
    let words = unsafe { CStr::from_ptr(libc::gai_strerror(libc::EAI_NONAME)) };
    let words = words.to_string_lossy();
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<io::Error>() && error.to_string().ends_with(words.as_ref()) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Statuses that only a request with a range gets.
fn is_range_answer(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE
    )
}

/// The first offset of `Content-Range: bytes FIRST-LAST/TOTAL` (RFC 9110 §14.4).
fn range_start(response: &Response) -> Option<u64> {
    let value = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (first, _) = value.strip_prefix("bytes ")?.split_once('-')?;
    first.trim().parse().ok()
}

/// A status that is none of those that were hoped for.
pub(crate) fn status_answer(response: &Response) -> Answer {
    Answer::Status {
        code: response.status().as_u16(),
        retry_after: retry_after(response),
    }
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3). Its other form, a date, is passed
/// over: the usual waits are good enough then.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// A file on its way.
pub(crate) struct Body {
    source: BodySource,
    /// The offset of its first byte in the file.
    pub(crate) start: u64,
    /// The size of the whole file, as the place says.
    pub(crate) total: Option<u64>,
    pace: Pace,
}

enum BodySource {
    Http(Box<Response>),
    File(tokio::io::Take<tokio::fs::File>),
    Object(BoxStream<'static, object_store::Result<bytes::Bytes>>),
}

impl Body {
    /// Reads some more into `buffer`, replacing what is in it. Empty at the end.
    pub(crate) async fn read(&mut self, buffer: &mut Vec<u8>) -> Result<(), Answer> {
        buffer.clear();
        let cut = Answer::Cut {
            got: self.start,
            expected: self.total,
        };
        match &mut self.source {
            BodySource::File(file) => {
                buffer.reserve(FILE_CHUNK);
                file.read_buf(buffer)
                    .await
                    .map_err(|error| Answer::Unusable(format!("it cannot be read: {error}")))?;
            }
            BodySource::Http(response) => {
                let idle_timeout = self.pace.idle_timeout;
                match tokio::time::timeout(idle_timeout, response.chunk()).await {
                    Ok(Ok(Some(chunk))) => buffer.extend_from_slice(&chunk),
                    Ok(Ok(None)) => {}
                    Ok(Err(_)) => return Err(cut),
                    Err(_) => return Err(Answer::Stalled(idle_timeout)),
                }
                self.pace.came(buffer.len())?;
            }
            BodySource::Object(stream) => {
                let idle_timeout = self.pace.idle_timeout;
                match tokio::time::timeout(idle_timeout, stream.next()).await {
                    Ok(Some(Ok(chunk))) => buffer.extend_from_slice(&chunk),
                    Ok(None) => {}
                    Ok(Some(Err(_))) => return Err(cut),
                    Err(_) => return Err(Answer::Stalled(idle_timeout)),
                }
                self.pace.came(buffer.len())?;
            }
        }
        self.start = self.start.saturating_add(buffer.len() as u64);
        Ok(())
    }
}

/// Tells a slow place from one that is as good as dead: within each idle timeout at
/// least `slowest` bytes per second must come.
#[derive(Debug)]
struct Pace {
    idle_timeout: Duration,
    slowest: u64,
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn came(&mut self, bytes: usize) -> Result<(), Answer> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        let elapsed = self.since.elapsed();
        if bytes == 0 || elapsed < self.idle_timeout {
            return Ok(());
        }
        if (self.bytes as f64) < self.slowest as f64 * elapsed.as_secs_f64() {
            return Err(Answer::Stalled(elapsed));
        }
        self.since = Instant::now();
        self.bytes = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_never_lead_from_encrypted_to_plain() {
        let url = |text: &str| Url::parse(text).unwrap();
        let (plain, encrypted) = (url("http://a/"), url("https://a/"));
        let both = [plain.clone(), encrypted.clone()];
        assert_eq!(why_not(&both[..1], &encrypted), None);
        assert_eq!(why_not(&both[..1], &plain), None);
        assert_eq!(why_not(&both[1..], &encrypted), None);
        assert!(why_not(&both[1..], &plain).is_some());
        assert!(why_not(&both, &plain).is_some());
        assert!(why_not(&both, &url("ftp://a/")).is_some());
        let long = vec![plain.clone(); MAX_REDIRECTS + 1];
        assert!(why_not(&long, &plain).is_some());
        assert_eq!(why_not(&long[1..], &plain), None);
    }
}
