//! The file systems inside: the root from its layers, /proc, /dev, and nothing else.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use fs_err as fs;
use lunikernel_cache::checkout::{self, Order};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::numbers;
use super::spec::{Spec, Trouble};
use crate::sandbox::EntryOrder;

/// Devices taken from the outside: they hold no state that one could see.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

const DEVICE_LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Files of /proc that show or change what belongs to the outside; read as empty.
pub(in crate::sandbox) const HIDDEN_FILES: &[&str] = &[
    "kcore",
    "keys",
    "key-users",
    "kmsg",
    "kallsyms",
    "sched_debug",
    "sysrq-trigger",
    "timer_list",
    "latency_stats",
    "kpagecount",
    "kpageflags",
    "kpagecgroup",
    "cmdline",
    "modules",
    "partitions",
    "diskstats",
    "swaps",
];
/// Folders of /proc that are hidden.
pub(in crate::sandbox) const HIDDEN_FOLDERS: &[&str] =
    &["acpi", "asound", "bus", "driver", "fs", "irq", "scsi"];
/// Folders of /proc that may be read.
pub(in crate::sandbox) const READ_ONLY_FOLDERS: &[&str] = &["sys"];

/// The layers and folders that the root is made of, held open.
pub(super) struct Layers {
    /// The read-only layer.
    pub(super) lower: OwnedFd,
}

/// Builds the root in `mnt` of the current folder, whose `upper` takes what is
/// written, and moves into it. Returns `/build` where that is a memory file system.
pub(super) fn enter_root(spec: &Spec, layers: &Layers) -> Result<Option<OwnedFd>, Trouble> {
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(Trouble::at("part the mounts from the outside's"))?;
    let _taken = numbers::take_devices(spec.around.inodes_used)
        .map_err(Trouble::at("use up device numbers"))?;
    mount_overlay(layers)?;
    rustix::process::chdir("mnt").map_err(Trouble::at("enter the new root"))?;

    mount_new("proc", "proc", no_programs(), "")?;
    make_devices()?;
    let order = match spec.around.entry_order {
        EntryOrder::AsCreated => None,
        EntryOrder::Forward => Some(Order::Forward),
        EntryOrder::Reverse => Some(Order::Reverse),
    };
    let build = match order {
        Some(order) => Some(build_in_memory(order, spec.around.inodes_used)?),
        None => None,
    };
    let kept = if build.is_some() { None } else { Some("build") };
    let home = spec.around.home.trim_start_matches('/');
    for name in kept.into_iter().chain([home, "tmp"]) {
        rustix::mount::mount_bind(name, name)
            .map_err(Trouble::at(format!("keep /{name} open to writing")))?;
    }

    // The old root comes to lie on the new one, and goes.
    rustix::process::pivot_root(".", ".").map_err(Trouble::at("change the root (pivot_root)"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)
        .map_err(Trouble::at("let go of the outside's files"))?;
    rustix::process::chdir("/").map_err(Trouble::at("enter the new root"))?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | ROOT_FLAGS;
    rustix::mount::mount_remount("/", flags, c"").map_err(Trouble::at("make / read-only"))?;
    mask_proc()?;
    Ok(build)
}

/// Flags of what holds programs, and no devices.
const ROOT_FLAGS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// Flags of what holds neither programs nor devices.
fn no_programs() -> MountFlags {
    MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC
}

fn mount_new(kind: &str, at: &str, flags: MountFlags, options: &str) -> Result<(), Trouble> {
    let attempted = format!("mount a {kind} on /{at}");
    let options = CString::new(options).map_err(Trouble::at(attempted.as_str()))?;
    rustix::mount::mount(kind, at, kind, flags, options.as_c_str())
        .map_err(Trouble::at(attempted.as_str()))
}

fn mount_overlay(layers: &Layers) -> Result<(), Trouble> {
    let paths = format!(
        "lowerdir=/proc/self/fd/{},upperdir=upper,workdir=work",
        layers.lower.as_raw_fd()
    );
    let flags = ROOT_FLAGS;
    // `userxattr` came with Linux 5.11, together with overlays in user namespaces;
    // kernels patched to have them earlier do not know it. `volatile` spares writing
    // to disk what is thrown away after a power cut anyhow.
    let mut last = Errno::INVAL;
    for extra in [",userxattr,volatile", ",userxattr", ""] {
        let options = CString::new(format!("{paths}{extra}"))
            .map_err(Trouble::at("mount the root's layers"))?;
        match rustix::mount::mount("overlay", "mnt", "overlay", flags, options.as_c_str()) {
            Ok(()) => return Ok(()),
            Err(errno) => last = errno,
        }
    }
    Err(Trouble::at("mount the root's layers (overlayfs)")(last))
}

fn make_devices() -> Result<(), Trouble> {
    let quiet = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount_new("tmpfs", "dev", quiet, "mode=0755,size=64k,nr_inodes=64")?;
    for name in DEVICES {
        let (outside, inside) = (format!("/dev/{name}"), format!("dev/{name}"));
        let failed = || Trouble::at(format!("lend the device {outside}"));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, &inside, flags, Mode::from_raw_mode(0o666)).map_err(failed())?;
        match rustix::mount::mount_bind(&outside, &inside) {
            // A container may have no terminal device; the rest is needed.
            Err(Errno::NOENT) if *name == "tty" => {
                rustix::fs::unlinkat(CWD, &inside, rustix::fs::AtFlags::empty())
                    .map_err(failed())?;
            }
            other => other.map_err(failed())?,
        }
    }
    for (name, target) in DEVICE_LINKS {
        rustix::fs::symlink(*target, format!("dev/{name}"))
            .map_err(Trouble::at(format!("make /dev/{name}")))?;
    }
    // The first is there only because every container has it.
    for name in ["dev/mqueue", "dev/pts", "dev/shm"] {
        rustix::fs::mkdir(name, Mode::from_raw_mode(0o755))
            .map_err(Trouble::at(format!("make /{name}")))?;
    }
    mount_new(
        "devpts",
        "dev/pts",
        quiet,
        "newinstance,ptmxmode=0666,mode=620",
    )?;
    mount_new("tmpfs", "dev/shm", no_programs(), "mode=1777")?;
    rustix::mount::mount_remount("dev", MountFlags::RDONLY | quiet, c"")
        .map_err(Trouble::at("make /dev read-only"))
}

/// Replaces `build`, which the upper layer holds, by the same in a memory file
/// system, whose folders list their entries by when they were created.
fn build_in_memory(order: Order, inodes_used: u32) -> Result<OwnedFd, Trouble> {
    let failed = || Trouble::at("fill /build in the order that was asked for");
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let from = rustix::fs::open("build", flags, Mode::empty()).map_err(failed())?;
    mount_new("tmpfs", "build", ROOT_FLAGS, "mode=0755")?;
    let to = rustix::fs::open("build", flags, Mode::empty()).map_err(failed())?;
    numbers::use_inodes(to.as_fd(), inodes_used).map_err(Trouble::at("use up inode numbers"))?;
    checkout::copy(from.as_fd(), to.as_fd(), order)
        .map_err(Trouble::at("fill /build in the order that was asked for"))?;
    Ok(to)
}

fn mask_proc() -> Result<(), Trouble> {
    let present = |name: &str| fs::symlink_metadata(format!("/proc/{name}")).is_ok();
    for name in HIDDEN_FILES.iter().filter(|name| present(name)) {
        rustix::mount::mount_bind("/dev/null", format!("/proc/{name}"))
            .map_err(Trouble::at(format!("hide /proc/{name}")))?;
    }
    for name in HIDDEN_FOLDERS.iter().filter(|name| present(name)) {
        let flags = no_programs() | MountFlags::RDONLY;
        mount_new("tmpfs", &format!("proc/{name}"), flags, "mode=0755,size=4k")?;
    }
    for name in READ_ONLY_FOLDERS.iter().filter(|name| present(name)) {
        let path = format!("/proc/{name}");
        let failed = || Trouble::at(format!("make {path} read-only"));
        rustix::mount::mount_bind(&path, &path).map_err(failed())?;
        let flags = MountFlags::BIND | MountFlags::RDONLY | no_programs();
        rustix::mount::mount_remount(&path, flags, c"").map_err(failed())?;
    }
    Ok(())
}

/// Opens a folder below the current one, only to be named by its descriptor.
pub(super) fn hold(path: &std::path::Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}
