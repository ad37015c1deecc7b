//! A small HTTP server that can misbehave in every way that tests need.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use url::Url;

/// What a client asked for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// By lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// How many requests came before.
    pub(crate) number: usize,
}

impl Request {
    /// The first offset of its range.
    pub(crate) fn from(&self) -> Option<usize> {
        let range = self.headers.get("range")?;
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    }
}

/// A server on 127.0.0.1; it ends when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    log: Arc<Mutex<Vec<Request>>>,
    ended: Arc<AtomicBool>,
}

impl Server {
    /// Answers each request, on a connection of its own, by `handler`.
    pub(crate) fn start(
        handler: impl Fn(&Request, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            log: Arc::default(),
            ended: Arc::default(),
        };
        let (log, ended) = (Arc::clone(&server.log), Arc::clone(&server.ended));
        let handler = Arc::new(handler);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let (Ok(mut stream), log) = (stream, Arc::clone(&log)) else {
                    continue;
                };
                let handler = Arc::clone(&handler);
                std::thread::spawn(move || {
                    let Ok(mut request) = read_request(&stream) else {
                        return;
                    };
                    {
                        let mut log = log.lock().unwrap();
                        request.number = log.len();
                        log.push(request.clone());
                    }
                    // A client that hangs up is no failure of the server.
                    let _ = handler(&request, &mut stream);
                });
            }
        });
        server
    }

    /// Serves `bytes` under every path, with ranges.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let bytes = bytes.to_owned();
        Self::start(move |request, stream| serve(request, stream, &bytes))
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}/{path}", self.address)).unwrap()
    }

    /// What was asked for so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn read_request(stream: &TcpStream) -> io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next(), words.next());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length");
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body)?;
    Ok(Request {
        method: method.unwrap_or_default(),
        target: target.unwrap_or_default(),
        headers,
        body,
        number: 0,
    })
}

/// Writes a response with the length that its body has.
pub(crate) fn respond(
    stream: &mut TcpStream,
    status: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<()> {
    head(stream, status, headers, Some(body.len()))?;
    stream.write_all(body)
}

/// Writes the head of a response, which may claim any length.
pub(crate) fn head(
    stream: &mut TcpStream,
    status: &str,
    headers: &[(&str, &str)],
    length: Option<usize>,
) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n")?;
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    if let Some(length) = length {
        write!(stream, "Content-Length: {length}\r\n")?;
    }
    write!(stream, "\r\n")
}

/// Serves a file as it should be, with ranges.
pub(crate) fn serve(request: &Request, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    match request.from() {
        Some(from) if from < bytes.len() => {
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            let headers = [("Content-Range", range.as_str())];
            respond(stream, "206 Partial Content", &headers, &bytes[from..])
        }
        Some(_) => respond(stream, "416 Range Not Satisfiable", &[], b"no"),
        None => respond(stream, "200 OK", &[], bytes),
    }
}
