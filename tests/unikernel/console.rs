//! What is typed into `luni run`, or comes through a pipe.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Termios, tcgetattr};

use super::support::exported::{Site, UNIKERNEL, need};
use super::support::{kernels, transcript};
use super::{Bench, fs, project, stderr, stdout};

/// A terminal, and a program that was started from it.
struct Terminal {
    ours: OwnedFd,
    theirs: OwnedFd,
    before: Termios,
    child: Child,
    seen: String,
}

impl Terminal {
    fn start(mut command: Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let theirs = ioctl_tiocgptpeer(&ours, flags).unwrap();
        let before = tcgetattr(&theirs).unwrap();
        assert!(
            before
                .local_modes
                .contains(LocalModes::ICANON | LocalModes::ECHO)
        );
        let end = || Stdio::from(theirs.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().unwrap();
        Self {
            ours,
            theirs,
            before,
            child,
            seen: String::new(),
        }
    }

    /// Waits until `text` was shown. Our own end of it is open, so that it is never closed:
    /// what never comes is waited for until the machine's time is up, which is shown.
    fn wait_for(&mut self, text: &str) {
        let mut bytes = [0; 4096];
        while !self.seen.contains(text) {
            let gone = self.seen.contains("error: ");
            assert!(!gone, "no {text:?} came: {}", self.seen);
            let read = rustix::io::read(&self.ours, &mut bytes).unwrap();
            self.seen += &String::from_utf8_lossy(&bytes[..read]);
        }
    }

    fn type_in(&mut self, keys: &[u8]) {
        assert_eq!(rustix::io::write(&self.ours, keys), Ok(keys.len()));
    }

    /// The exit code, after which the terminal is as it was.
    fn ended(mut self) -> Option<i32> {
        let status = self.child.wait().unwrap();
        let after = tcgetattr(&self.theirs).unwrap();
        assert_eq!(after.local_modes, self.before.local_modes);
        assert_eq!(after.input_modes, self.before.input_modes);
        assert_eq!(after.output_modes, self.before.output_modes);
        status.code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(site: &Site, folder: &Path, zip: &Path) -> Command {
    let mut command = site.luni(&folder.join("cache"));
    command.args(["run", "-i", "--accel", "tcg", "--timeout", "300"]);
    command.arg(zip);
    command
}

#[test]
fn keys_go_to_the_machine_and_the_terminal_is_as_before_in_the_end() {
    let name =
        "unikernel::console::keys_go_to_the_machine_and_the_terminal_is_as_before_in_the_end";
    if need(name, "qemu-system-x86_64").is_none() {
        return;
    }
    let Some(site) = Site::of(name, &UNIKERNEL) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let zip = kernels::ECHO.built(&site, folder.path());
    let start = || Terminal::start(run(&site, folder.path(), &zip));

    // What it says comes as it is, and before the line is complete; every key goes to it.
    let mut terminal = start();
    terminal.wait_for("\u{1b}[1mecho\u{1b}[0m: ready");
    terminal.wait_for("echo> ");
    for (keys, shown) in [
        (&b"a\r"[..], "<61><0d>"),
        (b"\x03", "<03>"),
        (b"\x04\x1a\x1c", "<04><1a><1c>"),
        (b"\x01\x01", "<01>"),
    ] {
        terminal.type_in(keys);
        terminal.wait_for(shown);
    }
    terminal.type_in(b"q");
    terminal.wait_for("echo: done");
    // Nothing but the machine has shown keys.
    assert!(!terminal.seen.contains("^C"), "{}", terminal.seen);
    assert_eq!(terminal.ended(), Some(0));

    // Nobody has to wait for its end.
    let mut terminal = start();
    terminal.wait_for("Ctrl-A X ends it");
    terminal.wait_for("echo> ");
    terminal.type_in(b"\x01x");
    assert_eq!(terminal.ended(), Some(0));

    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let mut terminal = start();
        terminal.wait_for("echo> ");
        let now = tcgetattr(&terminal.theirs).unwrap();
        assert!(!now.local_modes.contains(LocalModes::ECHO));
        let pid = Pid::from_raw(terminal.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        assert_eq!(terminal.ended(), Some(code));
    }

    // Through a pipe, what it says comes in lines that are safe to show, as ever.
    let mut child = run(&site, folder.path(), &zip)
        .arg("--quiet")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = child.stdin.take().unwrap();
    keys.write_all(b"\x01x\nq").unwrap();
    drop(keys);
    let ran = child.wait_with_output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", transcript(&ran));
    let expected = "echo: ready\necho> <01><78><0a><71>\necho: done\n";
    assert_eq!(stdout(&ran), expected, "{}", transcript(&ran));
}

#[test]
fn input_that_nothing_takes_is_refused() {
    let kernel = fs::read(project("fuzz/seeds/solo5/good-devices")).unwrap();
    let bench = Bench::new("devices", "mirage", &kernel, "");
    bench.build();
    for (options, code, expected) in [
        (&["run", "-i", "devices.luni.zip"][..], 3, "takes no input"),
        (
            &["--json", "run", "-i", "devices.luni.zip"],
            2,
            "leave out one of",
        ),
        (
            &["run", "-i", "--test", "devices.luni.zip"],
            2,
            "cannot be used with",
        ),
    ] {
        let ran = bench.luni(options);
        assert_eq!(ran.status.code(), Some(code), "{}", transcript(&ran));
        assert!(stderr(&ran).contains(expected), "{}", transcript(&ran));
    }
}
