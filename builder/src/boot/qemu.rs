//! QEMU: where it is, what it is told, and that it does not outlive us.

use std::ffi::OsStr;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use fs_err as fs;
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

use super::{Accel, BootError, Forward, Machine, Options, http};

const PROGRAM: &str = "qemu-system-x86_64";

/// The kernel's `COMMAND_LINE_SIZE` on x86; it would silently cut off what is beyond.
const MAX_CMDLINE: usize = 2048;

/// What a kernel needs to unpack itself and run, before any initramfs.
const KERNEL_MIB: u64 = 128;

/// How much larger than its gzip an initramfs may be, as a rule; both are in memory
/// at once while it is unpacked.
const UNPACKED: u64 = 5;

/// How much of what QEMU complains about is kept.
const MAX_COMPLAINT: u64 = 16 << 10;

/// Looks for QEMU in the folders of `search`, or of `PATH`.
pub(super) fn find(search: Option<&OsStr>) -> Result<PathBuf, BootError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(search.unwrap_or(&path))
        .map(|folder| folder.join(PROGRAM))
        .find(|program| {
            rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_ok() && program.is_file()
        })
        .ok_or(BootError::NoQemu { program: PROGRAM })
}

/// What QEMU is told, but for what is chosen just before it starts.
#[derive(Debug)]
pub(super) struct Plan {
    kernel: PathBuf,
    initramfs: Option<PathBuf>,
    cmdline: String,
    memory_mib: u32,
    net: bool,
    /// The ports that are wanted; 0 where a free one is to be chosen.
    pub(super) forwards: Vec<Forward>,
}

impl Plan {
    pub(super) fn new(machine: &Machine, options: &Options) -> Result<Self, BootError> {
        let mut cmdline = machine.cmdline.clone();
        if let Some(more) = &options.append {
            cmdline.push(' ');
            cmdline.push_str(more);
        }
        let refuse = |why| {
            Err(BootError::Value {
                what: "the kernel's command line",
                value: cmdline.clone(),
                why,
            })
        };
        if cmdline.len() >= MAX_CMDLINE {
            return refuse("the kernel takes at most 2047 bytes");
        }
        if cmdline.chars().any(char::is_control) {
            return refuse("expected one line without control characters");
        }
        let mut forwards = options.forwards.clone();
        if let Some(test) = &options.http {
            http::check(test)?;
            if !forwards.iter().any(|forward| forward.guest == test.port) {
                forwards.push(Forward {
                    host: 0,
                    guest: test.port,
                });
            }
        }
        let mut needed = KERNEL_MIB;
        if let Some(initramfs) = &machine.initramfs {
            let size = fs::metadata(initramfs)
                .map_err(BootError::io("find the initramfs"))?
                .len();
            needed = needed.saturating_add(size.saturating_mul(UNPACKED).div_ceil(1 << 20));
        }
        let needed = u32::try_from(needed).unwrap_or(u32::MAX);
        Ok(Self {
            kernel: machine.kernel.clone(),
            initramfs: machine.initramfs.clone(),
            memory_mib: options
                .memory_mib
                .unwrap_or_else(|| machine.min_memory_mib.max(needed)),
            net: machine.net || !forwards.is_empty(),
            cmdline,
            forwards,
        })
    }

    /// A boot of the kernel alone, which ends when it finds no root file system.
    pub(super) fn kernel_alone(kernel: &Path) -> Self {
        Self {
            kernel: kernel.to_owned(),
            initramfs: None,
            cmdline: "console=ttyS0 panic=-1".to_owned(),
            memory_mib: 256,
            net: false,
            forwards: Vec::new(),
        }
    }

    fn command(&self, qemu: &Path, accel: Accel, forwards: &[Forward]) -> Command {
        let mut command = Command::new(qemu);
        command
            .args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none", "-machine", "pc", "-smp", "1"])
            .args(match accel {
                Accel::Kvm => ["-accel", "kvm", "-cpu", "host"],
                Accel::Tcg => ["-accel", "tcg", "-cpu", "max"],
            })
            .args(["-m", &self.memory_mib.to_string()])
            .args(["-chardev", "stdio,id=console,signal=off"])
            .args(["-serial", "chardev:console"])
            .args(["-object", "rng-random,id=entropy,filename=/dev/urandom"])
            .args(["-device", "virtio-rng-pci,rng=entropy"])
            .arg("-kernel")
            .arg(&self.kernel)
            .args(["-append", &self.cmdline]);
        if let Some(initramfs) = &self.initramfs {
            command.arg("-initrd").arg(initramfs);
        }
        if self.net {
            let mut user = "user,id=net,restrict=on".to_owned();
            for Forward { host, guest } in forwards {
                user.push_str(&format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}"));
            }
            // The option ROM is for booting from the network.
            command
                .args(["-netdev", &user])
                .args(["-device", "virtio-net-pci,netdev=net,romfile="]);
        }
        command
    }
}

/// The same ports, with a free one in place of each 0.
///
/// Between choosing it here and QEMU's taking it another program may be quicker;
/// QEMU says so then, and another one is chosen.
pub(super) fn choose_ports(wanted: &[Forward]) -> Result<Vec<Forward>, BootError> {
    // Held until all are chosen, so that none is chosen twice.
    let mut held = Vec::new();
    let mut chosen = Vec::new();
    for forward in wanted {
        let mut host = forward.host;
        if host == 0 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .map_err(BootError::io("find a free port of 127.0.0.1"))?;
            host = listener
                .local_addr()
                .map_err(BootError::io("find a free port of 127.0.0.1"))?
                .port();
            held.push(listener);
        }
        chosen.push(Forward { host, ..*forward });
    }
    Ok(chosen)
}

/// A QEMU that runs. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    complaints: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    /// Starts it; returns it with its console.
    pub(super) fn start(
        qemu: &Path,
        plan: &Plan,
        accel: Accel,
        forwards: &[Forward],
    ) -> Result<(Self, ChildStdout), BootError> {
        let mut command = plan.command(qemu, accel, forwards);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its complaints are read by us.
            .env("LC_ALL", "C");
        let parent = getpid();
        // SAFETY: between fork and exec only async-signal-safe functions may be
        // called; these two are bare system calls that neither allocate nor lock.
        unsafe {
            command.pre_exec(move || {
                set_parent_process_death_signal(Some(Signal::KILL))?;
                // We may have died before the line above.
                if getppid() != Some(parent) {
                    return Err(std::io::ErrorKind::BrokenPipe.into());
                }
                Ok(())
            });
        }
        let attempted = || format!("start {}", qemu.display());
        let mut child = command.spawn().map_err(BootError::io(attempted()))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut running = Self {
            child,
            complaints: None,
        };
        let (Some(console), Some(stderr)) = (stdout, stderr) else {
            let gone = std::io::ErrorKind::BrokenPipe.into();
            return Err(BootError::io(attempted())(gone));
        };
        running.complaints = Some(std::thread::spawn(move || {
            let mut kept = Vec::new();
            let mut stderr = stderr;
            let _ = stderr.by_ref().take(MAX_COMPLAINT).read_to_end(&mut kept);
            // QEMU must not come to a halt because nobody reads on.
            let _ = std::io::copy(&mut stderr, &mut std::io::sink());
            kept
        }));
        Ok((running, console))
    }

    /// Waits for it to end by itself; returns how, and what it complained about.
    pub(super) fn wait(&mut self) -> Result<(ExitStatus, String), BootError> {
        let status = self
            .child
            .wait()
            .map_err(BootError::io("wait for QEMU to end"))?;
        let complaints = self
            .complaints
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default();
        Ok((
            status,
            String::from_utf8_lossy(&complaints).trim().to_owned(),
        ))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
