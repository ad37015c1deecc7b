//! Git's smart HTTP over the client that fetches everything else, so that there is
//! one TLS, one set of timeouts, and the proxies of the environment are honoured.
//!
//! Libgit2 asks for transports through a table of the whole process, and calls them
//! on the thread on which it was called. Each such thread therefore carries the
//! fetcher that it works for.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use tokio::runtime::Handle;

use super::GitError;
use crate::fetch::{Answer, Body, Fetcher, Trouble, asked_for};

/// The most that is sent: what we have of a repository is nothing, so it is little.
const MAX_REQUEST: usize = 1 << 20;

thread_local! {
    static NETWORK: RefCell<Option<Network>> = const { RefCell::new(None) };
}

/// What a thread that calls libgit2 reaches the network by.
#[derive(Clone)]
struct Network {
    fetcher: Fetcher,
    runtime: Handle,
}

/// While it lives, libgit2 on this thread reaches HTTP through the fetcher.
pub(super) struct Entered(());

impl Drop for Entered {
    fn drop(&mut self) {
        NETWORK.with(|network| network.replace(None));
    }
}

/// Lets libgit2 on this thread reach HTTP. The thread must be one that may block.
pub(super) fn enter(fetcher: &Fetcher, runtime: Handle) -> Result<Entered, GitError> {
    static REGISTERED: OnceLock<Result<(), String>> = OnceLock::new();
    let registered = REGISTERED.get_or_init(|| {
        for scheme in ["http", "https"] {
            // SAFETY: registering must not happen while another thread creates a
            // transport. Libgit2 is called in this module's parent only, after this
            // function, and the OnceLock keeps all threads here until it is done.
            unsafe { git2::transport::register(scheme, new_transport) }
                .map_err(|error| error.message().to_owned())?;
        }
        Ok(())
    });
    registered
        .clone()
        .map_err(|why| GitError::Fetch(crate::fetch::FetchError::Client(why)))?;
    let network = Network {
        fetcher: fetcher.clone(),
        runtime,
    };
    NETWORK.with(|here| here.replace(Some(network)));
    Ok(Entered(()))
}

fn new_transport(remote: &git2::Remote<'_>) -> Result<Transport, git2::Error> {
    let network = NETWORK
        .with(|network| network.borrow().clone())
        .ok_or_else(|| git2::Error::from_str("this thread has no network"))?;
    let smart = Smart {
        network,
        moved_to: Arc::default(),
    };
    Transport::smart(remote, true, smart)
}

/// Smart HTTP: a request for what there is, then requests for packs.
struct Smart {
    network: Network,
    /// Where the first request was redirected to; the others go there at once.
    moved_to: Arc<Mutex<Option<String>>>,
}

impl SmartSubtransport for Smart {
    fn action(
        &self,
        url: &str,
        action: Service,
    ) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let advertise = match action {
            Service::UploadPackLs => true,
            Service::UploadPack => false,
            Service::ReceivePackLs | Service::ReceivePack => {
                return Err(git2::Error::from_str("nothing is ever pushed"));
            }
        };
        Ok(Box::new(Exchange {
            network: self.network.clone(),
            moved_to: Arc::clone(&self.moved_to),
            url: url.trim_end_matches('/').to_owned(),
            advertise,
            request: Vec::new(),
            body: None,
            piece: Vec::new(),
            used: 0,
        }))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// One request and its response. The request is sent when the response is first read.
struct Exchange {
    network: Network,
    moved_to: Arc<Mutex<Option<String>>>,
    url: String,
    advertise: bool,
    request: Vec<u8>,
    body: Option<Body>,
    piece: Vec<u8>,
    used: usize,
}

const ADVERTISE: &str = "/info/refs?service=git-upload-pack";

impl Exchange {
    /// Sends the request; again where the server may answer better in a while.
    async fn send(&self) -> Result<Body, Trouble> {
        let options = self.network.fetcher.options();
        let mut retry = 0;
        loop {
            match self.send_once().await {
                Err(Trouble::Answer(answer))
                    if answer.is_transient() && retry < options.retries =>
                {
                    tokio::time::sleep(options.wait(retry, asked_for(&answer))).await;
                    retry += 1;
                }
                other => return other,
            }
        }
    }

    async fn send_once(&self) -> Result<Body, Trouble> {
        let opener = self.network.fetcher.opener();
        let client = opener.http()?;
        let mut moved_to = self
            .moved_to
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let (request, kind) = if self.advertise {
            let request = client.get(format!("{}{ADVERTISE}", self.url));
            (request, "application/x-git-upload-pack-advertisement")
        } else {
            let base = moved_to.take().unwrap_or_else(|| self.url.clone());
            let request = client
                .post(format!("{base}/git-upload-pack"))
                .header(CONTENT_TYPE, "application/x-git-upload-pack-request")
                .body(self.request.clone());
            (request, "application/x-git-upload-pack-result")
        };
        let response = opener.send(request.header(ACCEPT, kind)).await?;
        let is_git = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|found| found.as_bytes() == kind.as_bytes());
        let base = response
            .url()
            .as_str()
            .strip_suffix(ADVERTISE)
            .map(str::to_owned);
        let body = opener.body(response, 0)?;
        if !is_git {
            let why = "it is no git repository, or one that is served without smart HTTP";
            return Err(Answer::Unusable(why.to_owned()).into());
        }
        if self.advertise {
            *self.moved_to.lock().unwrap_or_else(PoisonError::into_inner) = base;
        }
        Ok(body)
    }
}

impl Read for Exchange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let failed = |trouble: Trouble| match trouble {
            Trouble::Answer(answer) => io::Error::other(answer.to_string()),
            Trouble::Fatal(error) => io::Error::other(error),
        };
        let runtime = self.network.runtime.clone();
        if self.used == self.piece.len() {
            let mut body = match self.body.take() {
                Some(body) => body,
                None => runtime.block_on(self.send()).map_err(failed)?,
            };
            let more = runtime.block_on(body.read(&mut self.piece));
            self.used = 0;
            self.body = Some(body);
            more.map_err(|answer| failed(answer.into()))?;
        }
        let left = self.piece.get(self.used..).unwrap_or_default();
        let count = (&mut &*left).read(buffer)?;
        self.used += count;
        Ok(count)
    }
}

impl Write for Exchange {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.request.len() + bytes.len() > MAX_REQUEST {
            return Err(io::Error::other("a request to a git server grew too large"));
        }
        self.request.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
