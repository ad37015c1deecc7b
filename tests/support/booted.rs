//! A Lunikernel that runs, and the page that it serves.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::luni;

/// `luni run`; ended when this goes, and its machine with it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Boots `zip` with port 80 forwarded, waits for a line with `expected` on the console,
/// and returns the whole answer to a request for the first page.
pub(crate) fn page(folder: &Path, zip: &Path, expected: &str) -> String {
    let child = luni(folder)
        .args(["run", "--accel", "auto", "--net", "80", "--timeout", "300"])
        .arg(zip)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut running = Running(child.unwrap());
    let told = BufReader::new(running.0.stderr.take().unwrap()).lines();
    let mut told = told.map(Result::unwrap);
    let address = told
        .find_map(|line| {
            let (address, _) = line.split_once(" is the machine's port 80")?;
            Some(address.to_owned())
        })
        .expect("it says where the port is forwarded from");
    let console = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let mut console = console.map(Result::unwrap);
    console
        .find(|line| line.contains(expected))
        .expect("the line comes");
    // The line comes before the network is up: ask until someone answers.
    let answer = (0..600).find_map(|_| {
        std::thread::sleep(Duration::from_millis(200));
        let mut stream = TcpStream::connect(&address).ok()?;
        let patience = Some(Duration::from_secs(10));
        stream.set_read_timeout(patience).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        text.starts_with("HTTP/1.").then_some(text)
    });
    let answer = answer.expect("the page comes");
    assert!(answer.contains("200 OK"), "{answer}");
    answer
}
