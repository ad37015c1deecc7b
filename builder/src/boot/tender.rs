//! Solo5's tenders: programs that run a unikernel without a virtual machine's devices,
//! in a process behind a filter of system calls (spt) or by KVM (hvt).

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use super::running::Running;
use super::{
    Accel, BootError, BootEvent, BootOutcome, Machine, OnEvent, Options, go_on, qemu, watch,
};

/// A tender, and what it attaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tender {
    /// Which one.
    pub kind: TenderKind,
    /// The unikernel's file.
    pub kernel: PathBuf,
    /// Its command line.
    pub cmdline: String,
    /// Where it is; by default in a folder of `PATH`.
    pub program: Option<PathBuf>,
    /// The files that are its disks, by the unikernel's names.
    pub disks: Vec<(String, PathBuf)>,
    /// The network interfaces of this machine that are the unikernel's, by its names.
    pub nets: Vec<(String, String)>,
}

/// Which tender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenderKind {
    /// `solo5-hvt`.
    Hvt,
    /// `solo5-spt`.
    Spt,
}

impl TenderKind {
    /// What the program is called.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Hvt => "solo5-hvt",
            Self::Spt => "solo5-spt",
        }
    }

    fn accel(self) -> Accel {
        match self {
            Self::Hvt => Accel::Kvm,
            Self::Spt => Accel::Process,
        }
    }
}

/// Runs `machine` by `tender`.
pub(super) fn run(
    tender: &Tender,
    machine: &Machine,
    options: &Options,
    on_event: &mut OnEvent<'_>,
) -> Result<BootOutcome, BootError> {
    let name = tender.kind.program();
    let program = match &tender.program {
        Some(program) => program.clone(),
        None => qemu::program(name, options.search.as_deref())
            .ok_or(BootError::NoTender { program: name })?,
    };
    let accel = tender.kind.accel();
    go_on(on_event(BootEvent::Starting {
        accel,
        why_no_kvm: None,
        forwards: &[],
    }))?;
    let watched = watch::Watched {
        accel,
        forwards: &[],
        good_end: 0,
        by_grub: false,
    };
    let running = Running::start(command(tender, program, machine, options), None)?;
    watch::watch(running, watched, options, on_event)
}

fn command(tender: &Tender, program: PathBuf, machine: &Machine, options: &Options) -> Command {
    let mut command = Command::new(program);
    let memory = options.memory_mib.unwrap_or(machine.memory_mib);
    command.arg(format!("--mem={memory}"));
    for (name, file) in &tender.disks {
        let mut disk = OsString::from(format!("--block:{name}="));
        disk.push(file);
        command.arg(disk);
    }
    for (name, interface) in &tender.nets {
        command.arg(format!("--net:{name}={interface}"));
    }
    command.arg("--").arg(&tender.kernel);
    // A tender joins its arguments with spaces, and so undoes this.
    let words = tender.cmdline.split(' ');
    command.args(words.filter(|it| !it.is_empty()));
    command
}
