//! A mirror on a web server that takes PUT.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use lunikernel_cache::{BlobStore, Digest};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};
use url::Url;

use crate::fetch::{Answer, Fetcher, Trouble, status_answer};

/// How much of a file is sent at once.
const PIECE: usize = 1 << 18;

/// What a server says that it has under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// Something of that size, where it says how large.
    Something(Option<u64>),
    /// It does not answer such questions.
    Unknown,
}

/// Asks whether a file is there (RFC 9110 §9.3.2).
pub(super) async fn head(fetcher: &Fetcher, url: &Url) -> Result<Found, Trouble> {
    let request = fetcher.opener().request(Method::HEAD, url)?;
    let response = fetcher.opener().send(request).await?;
    // The client takes the body's length, which a HEAD has none of.
    let length = response.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    match response.status() {
        StatusCode::OK => Ok(Found::Something(length)),
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Found::Nothing),
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Ok(Found::Unknown),
        _ => Err(status_answer(&response).into()),
    }
}

/// Sends a blob. Unless it is to `replace` what is there, the server is asked to keep
/// that (RFC 9110 §13.1.2). Then the server is asked what it has now.
pub(super) async fn put(
    fetcher: &Fetcher,
    url: &Url,
    blob: &Digest,
    replace: bool,
) -> Result<(), Trouble> {
    let sent = Arc::new(AtomicU64::new(0));
    let mut request = fetcher
        .opener()
        .request(Method::PUT, url)?
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(CONTENT_LENGTH, blob.size);
    if !replace {
        request = request.header(IF_NONE_MATCH, "*");
    }
    let body = body(fetcher.cache().blobs(), blob, Arc::clone(&sent))?;
    let idle = fetcher.options().connect_timeout + fetcher.options().idle_timeout;
    let response = while_moving(request.body(body).send(), &sent, idle).await?;
    match response.status() {
        StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT | StatusCode::ACCEPTED => {}
        StatusCode::PRECONDITION_FAILED if !replace => {}
        _ => return Err(status_answer(&response).into()),
    }
    match head(fetcher, url).await? {
        Found::Something(Some(actual)) if actual != blob.size => Err(Answer::Cut {
            got: actual,
            expected: Some(blob.size),
        }
        .into()),
        Found::Nothing => Err(Answer::NotThere.into()),
        Found::Something(_) | Found::Unknown => Ok(()),
    }
}

/// The bytes of a blob, piece by piece; `sent` counts those that were taken.
fn body(store: &BlobStore, blob: &Digest, sent: Arc<AtomicU64>) -> Result<reqwest::Body, Trouble> {
    let file = store.open(blob)?;
    let pieces = stream::try_unfold(file, move |mut file| {
        let sent = Arc::clone(&sent);
        async move {
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; PIECE];
                let count = file.read(&mut piece)?;
                piece.truncate(count);
                Ok::<_, std::io::Error>((file, piece))
            });
            let (file, piece) = read.await.map_err(std::io::Error::other)??;
            sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            Ok::<_, std::io::Error>((!piece.is_empty()).then(|| (Bytes::from(piece), file)))
        }
    });
    Ok(reqwest::Body::wrap_stream(pieces))
}

/// Waits for an answer for as long as bytes are taken.
async fn while_moving(
    sending: impl Future<Output = reqwest::Result<reqwest::Response>>,
    sent: &AtomicU64,
    idle: Duration,
) -> Result<reqwest::Response, Answer> {
    let mut sending = std::pin::pin!(sending);
    let mut before = 0;
    loop {
        if let Ok(answer) = tokio::time::timeout(idle, &mut sending).await {
            return answer.map_err(|error| Answer::Unreachable(crate::fetch::reason(error)));
        }
        let now = sent.load(Ordering::Relaxed);
        if now == before {
            return Err(Answer::Stalled(idle));
        }
        before = now;
    }
}
