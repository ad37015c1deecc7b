//! A registry as the distribution specification of the OCI has it.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, OnceLock};

use super::support::images::{INDEX, Image};
use super::support::server::{Request, Server, respond};

const TOKEN: &str = "Bearer only-for-the-registry";

/// A registry that hands out tokens and has its blobs on another server.
pub(super) struct Registry {
    pub(super) server: Server,
    /// What its one tag names, and the parts that it has.
    pub(super) image: Arc<Mutex<Image>>,
    _storage: Server,
}

impl Registry {
    pub(super) fn new(image: Image) -> Self {
        let image = Arc::new(Mutex::new(image));
        let stored = Arc::clone(&image);
        let storage = Server::start_with(move |request, stream| {
            let hex = request.path.trim_start_matches('/');
            match stored.lock().unwrap().blobs.get(hex) {
                // Nobody but the registry may see its token.
                _ if request.header("authorization").is_some() => {
                    respond(stream, "400 Bad Request", b"")
                }
                Some(bytes) => respond(stream, "200 OK", bytes),
                None => respond(stream, "404 Not Found", b""),
            }
        });
        let own: Arc<OnceLock<String>> = Arc::default();
        let (address, elsewhere) = (Arc::clone(&own), storage.url());
        let served = Arc::clone(&image);
        let server = Server::start_with(move |request, stream| {
            let image = served.lock().unwrap().clone();
            serve(request, stream, address.wait(), &elsewhere, &image)
        });
        own.set(server.url()).unwrap();
        Self {
            server,
            image,
            _storage: storage,
        }
    }

    pub(super) fn host(&self) -> String {
        self.server.url().replace("http://", "")
    }
}

fn serve(
    request: &Request,
    stream: &mut TcpStream,
    own: &str,
    storage: &str,
    image: &Image,
) -> std::io::Result<()> {
    let path = request.path.as_str();
    if path == "/token?service=here&scope=repository%3Ateam%2Fapp%3Apull" {
        let token = TOKEN.trim_start_matches("Bearer ");
        return respond(
            stream,
            "200 OK",
            format!("{{\"token\":\"{token}\"}}").as_bytes(),
        );
    }
    if request.header("authorization") != Some(TOKEN) {
        return write!(
            stream,
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"{own}/token\",\
             service=\"here\",scope=\"repository:team/app:pull\"\r\n\
             Connection: close\r\nContent-Length: 0\r\n\r\n"
        );
    }
    if let Some(hex) = path.strip_prefix("/v2/team/app/blobs/sha256:") {
        return write!(
            stream,
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: {storage}/{hex}\r\n\
             Connection: close\r\nContent-Length: 0\r\n\r\n"
        );
    }
    let understood = request.header("accept").unwrap_or_default();
    let manifest = path.strip_prefix("/v2/team/app/manifests/");
    let found = manifest.and_then(|what| match what.strip_prefix("sha256:") {
        Some(hex) => image.blobs.get(hex),
        None if what == "1.0" && understood.contains(INDEX) => Some(&image.index),
        None => None,
    });
    match found {
        Some(bytes) => respond(stream, "200 OK", bytes),
        None => respond(stream, "404 Not Found", b""),
    }
}
