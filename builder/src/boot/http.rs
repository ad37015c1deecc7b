//! Fetching one page from a guest.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::error::BootError;
use crate::recipe::HttpTest;

/// The largest page that is read.
const MAX_PAGE: u64 = 1 << 20;

/// How long one attempt may be silent.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pause between attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Refuses a path that would not fit into a request line.
pub(super) fn check(test: &HttpTest) -> Result<(), BootError> {
    if test.path.starts_with('/') && test.path.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(BootError::Value {
        what: "the page's path",
        value: test.path.clone(),
        why: "expected it to begin with `/` and to have no spaces, control or non-ASCII characters",
    })
}

/// Asks for the page until it comes and has the text in it, or until `stop`.
/// Returns it, and passes every failed attempt to `on_failure`.
pub(super) fn fetch(
    port: u16,
    test: &HttpTest,
    stop: &AtomicBool,
    mut on_failure: impl FnMut(String),
) -> Option<String> {
    while !stop.load(Ordering::Relaxed) {
        match attempt(port, &test.path) {
            Ok((200, page)) if page.contains(&test.expect) => return Some(page),
            Ok((200, page)) => on_failure(format!(
                "the page has no `{}` in it but begins with {:?}",
                test.expect,
                page.chars().take(200).collect::<String>()
            )),
            Ok((status, _)) => on_failure(format!("the answer had status {status}, not 200")),
            Err(error) => on_failure(format!("the last attempt failed: {error}")),
        }
        std::thread::sleep(PAUSE);
    }
    None
}

/// One request (HTTP/1.0, RFC 1945), its status and its body.
fn attempt(port: u16, path: &str) -> std::io::Result<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    let end = Instant::now() + 2 * PATIENCE;
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece)?;
        answer.extend(piece.iter().take(read));
        if read == 0 || answer.len() as u64 >= MAX_PAGE || Instant::now() >= end {
            break;
        }
    }
    parse(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| std::io::Error::other("what came is no answer of a web server"))
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let (version, rest) = head.split_once(' ')?;
    let status = rest.get(..3)?.parse().ok()?;
    version
        .starts_with("HTTP/1.")
        .then(|| (status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        assert_eq!(
            parse("HTTP/1.1 200 OK\r\nA: b\r\n\r\nhi\r\n\r\n"),
            Some((200, "hi\r\n\r\n".to_owned()))
        );
        assert_eq!(parse("HTTP/1.0 404\r\n\r\n"), Some((404, String::new())));
        for bad in [
            "",
            "HTTP/1.1 200 OK",
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1 2é\r\n\r\n",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_path_cannot_smuggle_a_second_request() {
        let test = |path: &str| HttpTest {
            port: 80,
            path: path.to_owned(),
            expect: String::new(),
        };
        assert!(check(&test("/a?b=c")).is_ok());
        for bad in ["", "a", "/a b", "/\r\nX: y", "/é"] {
            assert!(check(&test(bad)).is_err(), "{bad:?}");
        }
    }
}
