//! Whether hardware virtualisation works here.
//!
//! That there is a /dev/kvm says little: there are machines on which it opens, and
//! the guest then hangs right after the firmware. So the kernel in question is
//! booted by itself, and only when it gets as far as looking for a root file system
//! is KVM used. The answer is remembered until the machine is booted again.

use std::fmt;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fs_err as fs;
use lunikernel_cache::inventory::Kind;
use lunikernel_cache::{Digest, HashingReader};

use super::qemu::Bootable;
use super::running::Running;
use super::{BootError, Entry, Kernel, Options, qemu, watch};

/// How the guest's processor is provided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// By the processor of this machine.
    Kvm,
    /// By QEMU's emulation.
    Tcg,
    /// By the processor itself, in a process that may do next to nothing.
    Process,
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "KVM",
            Self::Tcg => "emulation",
            Self::Process => "a confined process",
        })
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AccelChoice {
    /// KVM where it works, emulation elsewhere.
    #[default]
    Auto,
    /// KVM or nothing.
    Kvm,
    /// Emulation.
    Tcg,
}

/// How long the probe may take. Where KVM works, a kernel needs about a second.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// The memory that it is given, in MiB: enough for any distribution's kernel alone.
const PROBE_MEMORY: u32 = 256;

/// What every Linux says that is given neither an initramfs nor a disk.
const END_OF_PROBE: &str = "Unable to mount root fs";

/// What a probe that went well is remembered as.
const WORKS: &str = "works";

/// Chooses, and says why where it is not KVM although that was possible.
pub(super) fn choose(
    qemu: &Path,
    from: Bootable<'_>,
    options: &Options,
) -> Result<(Accel, Option<String>), BootError> {
    if options.accel == AccelChoice::Tcg {
        return Ok((Accel::Tcg, None));
    }
    let Bootable::Kernel(Kernel {
        file,
        entry: Entry::Linux { .. },
        ..
    }) = from
    else {
        // Only a Linux says how far it has come, so nothing can be tried here.
        return Ok(match options.accel {
            AccelChoice::Kvm => (Accel::Kvm, None),
            _ => (Accel::Tcg, None),
        });
    };
    match (probe_or_recall(qemu, file, &options.cache)?, options.accel) {
        (None, _) => Ok((Accel::Kvm, None)),
        (Some(why), AccelChoice::Kvm) => Err(BootError::NoKvm { why }),
        (why, _) => Ok((Accel::Tcg, why)),
    }
}

/// `None` where KVM works, otherwise why it does not.
pub(super) fn probe_or_recall(
    qemu: &Path,
    kernel: &Path,
    cache: &Path,
) -> Result<Option<String>, BootError> {
    let device = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm");
    if let Err(error) = device {
        return Ok(Some(error.to_string()));
    }
    let key = key(qemu, kernel)?;
    let folder = cache.join(Kind::Probe.folder());
    let memory = folder.join(key.sha256.hex());
    let answer = match fs::read_to_string(&memory) {
        Ok(answer) => answer,
        Err(_) => {
            let answer = probe(qemu, kernel);
            // To remember it is a convenience; without it the next boot probes anew.
            let _ = remember(&folder, &memory, &answer);
            answer
        }
    };
    Ok((answer != WORKS).then_some(answer))
}

/// What the answer may depend on: this run of this machine, QEMU, and the kernel.
fn key(qemu: &Path, kernel: &Path) -> Result<Digest, BootError> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_err(BootError::io("tell this boot of the machine from others"))?;
    let version = Command::new(qemu)
        .arg("--version")
        .output()
        .map_err(BootError::io(format!("start {}", qemu.display())))?
        .stdout;
    let read = BootError::io("read the kernel");
    let kernel = fs::File::open(kernel)
        .and_then(|file| {
            let mut file = HashingReader::new(file);
            std::io::copy(&mut file, &mut std::io::sink())?;
            Ok(file.finish())
        })
        .map_err(read)?;
    let version = String::from_utf8_lossy(&version);
    Ok(Digest::of(
        format!("{boot}\n{}\n{version}\n{kernel}", qemu.display()).as_bytes(),
    ))
}

fn probe(qemu: &Path, kernel: &Path) -> String {
    let mut options = Options::new(Path::new(""));
    options.expect = Some(END_OF_PROBE.to_owned());
    options.timeout = Some(PROBE_TIMEOUT);
    let kernel = Kernel {
        file: kernel.to_owned(),
        cmdline: "console=ttyS0 panic=-1".to_owned(),
        entry: Entry::Linux { initramfs: None },
    };
    let plan = qemu::Plan::alone(Bootable::Kernel(&kernel), PROBE_MEMORY);
    let watched = plan.watched(Accel::Kvm, &[]);
    let booted = Running::start(plan.command(qemu, Accel::Kvm, &[]), None).and_then(|running| {
        watch::watch(running, watched, &options, &mut |_| {
            ControlFlow::Continue(())
        })
    });
    match booted {
        Ok(_) => WORKS.to_owned(),
        Err(BootError::Deadline { last, .. }) => format!(
            "in {} s a kernel got {}",
            PROBE_TIMEOUT.as_secs(),
            match last.last() {
                None => "not even as far as its first line".to_owned(),
                Some(line) => format!("no further than `{line}`"),
            }
        ),
        Err(error) => error.to_string(),
    }
}

fn remember(folder: &Path, memory: &Path, answer: &str) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(answer.as_bytes())?;
    file.persist(memory)?;
    Ok(())
}
