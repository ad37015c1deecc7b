//! Docker engines that a test may kill, or fill the disk of.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fs_err as fs;
use lunikernel_builder::sandbox::Docker;

/// An engine of the test's own, which ends with it.
pub(crate) struct OwnEngine {
    folder: tempfile::TempDir,
    pub(crate) process: Child,
    /// Its files, where they are on a file system of their own.
    disk: Option<Disk>,
    /// Where it listens besides its socket.
    tls: Option<Tls>,
}

/// A listener for clients with a certificate.
struct Tls {
    port: u16,
    certificates: PathBuf,
}

impl Tls {
    fn arguments(&self) -> Vec<String> {
        let file = |name: &str| self.certificates.join(name).display().to_string();
        vec![
            format!("--host=tcp://127.0.0.1:{}", self.port),
            "--tlsverify".to_owned(),
            format!("--tlscacert={}", file("ca.pem")),
            format!("--tlscert={}", file("server-cert.pem")),
            format!("--tlskey={}", file("server-key.pem")),
        ]
    }
}

/// A file system in memory.
struct Disk(PathBuf);

impl Disk {
    /// `None` where nothing can be mounted.
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let mounted = mount(&["-t", "tmpfs", "-o", "size=2g", "none"], at);
        mounted.then(|| Self(at.to_owned()))
    }

    fn used(&self) -> u64 {
        let now = rustix::fs::statvfs(&self.0).unwrap();
        (now.f_blocks - now.f_bfree) * now.f_frsize
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

fn mount(words: &[&str], at: &Path) -> bool {
    let status = Command::new("mount").args(words).arg(at).status();
    status.is_ok_and(|status| status.success())
}

impl OwnEngine {
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }

    /// Where it listens for TLS, as `HOST:PORT`.
    pub(crate) fn secure(&self) -> String {
        let tls = self.tls.as_ref().expect("it was started so");
        format!("127.0.0.1:{}", tls.port)
    }

    fn spawn(folder: &Path, tls: Option<&Tls>) -> std::io::Result<Child> {
        Command::new("dockerd")
            .args(tls.map(Tls::arguments).unwrap_or_default())
            .arg("--data-root")
            .arg(folder.join("data"))
            .arg("--exec-root")
            .arg(folder.join("exec"))
            .arg("--pidfile")
            .arg(folder.join("pid"))
            .args(["-H", &format!("unix://{}", folder.join("socket").display())])
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
            .args(["--ip-forward=false", "--ip-masq=false"])
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log"))?.into_file())
            .spawn()
    }

    /// `None` where there can be none, with the test left out.
    pub(crate) fn start() -> Option<Self> {
        let started = Self::started(false, None);
        if started.is_none() {
            let test = lunikernel_testing::this_test();
            lunikernel_testing::left_out(&test, "no Docker engine of its own can be started here");
        }
        started
    }

    /// The same with a disk that can be filled.
    pub(crate) fn with_disk() -> Option<Self> {
        let started = Self::started(true, None);
        if started.is_none() {
            let test = lunikernel_testing::this_test();
            let reason = "no Docker engine with a disk of its own can be started here";
            lunikernel_testing::left_out(&test, reason);
        }
        started
    }

    /// The same that listens on a port of 127.0.0.1 too, for those who have a certificate:
    /// `certificates` is the folder of `ca.pem`, `server-cert.pem` and `server-key.pem`.
    pub(crate) fn with_tls(certificates: &Path) -> Option<Self> {
        // Whoever is quicker may have the port before the engine asks for it.
        let tries = (0..5).map(|_| {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            Tls {
                port: free.local_addr().unwrap().port(),
                certificates: certificates.to_owned(),
            }
        });
        let started = tries
            .into_iter()
            .find_map(|tls| Self::started(false, Some(tls)));
        if started.is_none() {
            let test = lunikernel_testing::this_test();
            let reason = "no Docker engine of its own that speaks TLS can be started here";
            lunikernel_testing::left_out(&test, reason);
        }
        started
    }

    fn started(with_disk: bool, tls: Option<Tls>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let disk = match with_disk {
            true => Some(Disk::mount(&folder.path().join("data"))?),
            false => None,
        };
        let process = Self::spawn(folder.path(), tls.as_ref()).ok()?;
        let mut engine = Self {
            folder,
            process,
            disk,
            tls,
        };
        engine.wait().then_some(engine)
    }

    /// How many bytes its disk holds.
    pub(crate) fn used(&self) -> u64 {
        self.disk.as_ref().map_or(0, Disk::used)
    }

    /// Leaves so many bytes free on its disk.
    pub(crate) fn leave(&self, bytes: u64) {
        let disk = self.disk.as_ref().unwrap();
        let size = format!("remount,size={}k", (disk.used() + bytes) >> 10);
        assert!(mount(&["-o", &size], &disk.0));
    }

    /// Waits until it answers; `false` where it has ended.
    fn wait(&mut self) -> bool {
        while Docker::connect_to(&self.address()).is_err() {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        true
    }

    /// The part of the engine that does not end with it when it is killed.
    fn end_containerd(&self, signal: rustix::process::Signal) {
        let file = self.folder.path().join("exec/containerd/containerd.pid");
        let Ok(text) = fs::read_to_string(&file) else {
            return;
        };
        // The engine takes one that ended and was not waited for as one that runs.
        let _ = fs::remove_file(&file);
        let pid = text
            .trim()
            .parse()
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, signal);
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    pub(crate) fn restart(&mut self) {
        self.end_containerd(rustix::process::Signal::KILL);
        let _ = fs::remove_file(self.folder.path().join("pid"));
        self.process = Self::spawn(self.folder.path(), self.tls.as_ref()).unwrap();
        let log = self.folder.path().join("log");
        assert!(self.wait(), "{}", fs::read_to_string(log).unwrap());
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        let own = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(own, rustix::process::Signal::TERM);
        let _ = self.process.wait();
        self.end_containerd(rustix::process::Signal::TERM);
    }
}
