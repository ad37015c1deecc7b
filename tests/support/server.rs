//! A small HTTP server, for archives that tests make and for mirrors that misbehave.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use fs_err as fs;

/// A server on 127.0.0.1, at a port that the system chose; it ends when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
}

impl Server {
    /// Answers each request, on a connection of its own, by `answer`, which gets the
    /// path that was asked for.
    pub(crate) fn start(
        answer: impl Fn(&str, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(move |request, stream| answer(&request.path, stream))
    }

    /// As [`Server::start`], by an `answer` that gets all of the request's head.
    pub(crate) fn start_with(
        answer: impl Fn(&Request, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            ended: Arc::default(),
        };
        let (asked, ended) = (Arc::clone(&server.asked), Arc::clone(&server.ended));
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(mut stream) = stream else { continue };
                let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
                std::thread::spawn(move || {
                    let Some(request) = read_request(&stream) else {
                        return;
                    };
                    asked.lock().unwrap().push(request.path.clone());
                    // A client that hangs up is no failure of the server.
                    let _ = answer(&request, &mut stream);
                });
            }
        });
        server
    }

    /// Serves the files of a folder.
    pub(crate) fn of_folder(folder: PathBuf) -> Self {
        Self::start(move |path, stream| {
            let path = path.trim_start_matches('/').replace("%20", " ");
            match fs::read(folder.join(path)) {
                Ok(bytes) => respond(stream, "200 OK", &bytes),
                Err(_) => respond(stream, "404 Not Found", b"no such file\n"),
            }
        })
    }

    /// Its address, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The paths that were asked for so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// The head of a request.
pub(crate) struct Request {
    /// The path that it asks for.
    pub(crate) path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// The value of a header, whose name is given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(own, _)| own == name)?;
        Some(value)
    }
}

/// Reads the head of a request.
fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut headers = Vec::new();
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let path = first.split_whitespace().nth(1)?.to_owned();
    Some(Request { path, headers })
}

/// Writes a response.
pub(crate) fn respond(stream: &mut TcpStream, status: &str, body: &[u8]) -> io::Result<()> {
    head(stream, status, body.len())?;
    stream.write_all(body)
}

/// Writes the head of a response, which may promise any length.
pub(crate) fn head(stream: &mut TcpStream, status: &str, length: usize) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    )
}
