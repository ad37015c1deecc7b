//! Boots: a Lunikernel in QEMU, its console as lines, and what is expected of it.
//!
//! A machine lives no longer than the call that boots it: QEMU is killed on every
//! way out, and by the kernel should this process die.

mod accel;
mod console;
mod error;
mod http;
mod qemu;
mod running;
mod tender;
mod watch;

use std::ffi::OsString;
use std::io::PipeReader;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use accel::{Accel, AccelChoice};
pub use error::BootError;
pub use tender::{Tender, TenderKind};

use crate::recipe::HttpTest;
use running::Running;

/// What is booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// How it is started, and from what.
    pub start: Start,
    /// The memory that it needs, in MiB.
    pub memory_mib: u32,
    /// Whether it wants a network interface. It then has one that reaches nothing
    /// but this machine, and only in answer to what comes through a forwarded port.
    pub net: bool,
}

/// How a machine is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// QEMU puts a kernel into its memory and enters it.
    Kernel(Kernel),
    /// The firmware of the machine that QEMU makes starts GRUB from a disc, and that what is
    /// on it: a kernel that starts by a protocol that QEMU does not know.
    Disc(PathBuf),
    /// By one of Solo5's tenders, without QEMU.
    Tender(Tender),
}

/// A kernel that QEMU loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Its file, in whichever format QEMU's `-kernel` takes.
    pub file: PathBuf,
    /// Its command line.
    pub cmdline: String,
    /// By which protocol it is entered, and what goes with it.
    pub entry: Entry,
}

/// By which protocol QEMU enters a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// By Linux's.
    Linux {
        /// The initramfs.
        initramfs: Option<PathBuf>,
    },
    /// By multiboot 1 or PVH.
    Modules(Vec<Module>),
    /// By multiboot 1; it is a unikernel of Solo5's, and ends as those do.
    Solo5Virtio {
        /// The file that is its disk.
        disk: Option<PathBuf>,
    },
}

/// A file that is put into the memory beside a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The file.
    pub file: PathBuf,
    /// The text that the kernel finds with it.
    pub cmdline: String,
}

/// A port of the guest, reachable from this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// The port of 127.0.0.1; 0 for a free one.
    pub host: u16,
    /// The port inside.
    pub guest: u16,
}

/// What goes to a machine's console.
#[derive(Debug, Clone)]
pub struct Input {
    /// Where it comes from.
    pub from: Arc<PipeReader>,
    /// Whether somebody types it. What the machine says is then told as it comes
    /// ([`BootEvent::Bytes`]), and of the keys `Ctrl-A` and `X` end the machine; `Ctrl-A`
    /// twice is once to the machine.
    pub typed: bool,
}

/// How it is booted, and what is expected of it.
#[derive(Debug, Clone)]
pub struct Options {
    /// How its processor is provided.
    pub accel: AccelChoice,
    /// Its memory in MiB; by default what it needs.
    pub memory_mib: Option<u32>,
    /// Ports that are forwarded.
    pub forwards: Vec<Forward>,
    /// What goes to its console, where QEMU runs it.
    pub input: Option<Input>,
    /// A text that must appear in a line on the console.
    pub expect: Option<String>,
    /// A page that must be there then.
    pub http: Option<HttpTest>,
    /// How long all of this may take; without it, as long as it takes.
    pub timeout: Option<Duration>,
    /// Where it is remembered whether hardware virtualisation works here.
    pub cache: PathBuf,
    /// Where QEMU is looked for, in the form of `PATH`; by default in that.
    pub search: Option<OsString>,
}

impl Options {
    /// A boot that nothing is expected of, and that ends when the guest does.
    #[must_use]
    pub fn new(cache: &Path) -> Self {
        Self {
            accel: AccelChoice::Auto,
            memory_mib: None,
            forwards: Vec::new(),
            input: None,
            expect: None,
            http: None,
            timeout: None,
            cache: cache.to_owned(),
            search: None,
        }
    }

    /// Whether somebody types what goes to its console.
    fn is_typed(&self) -> bool {
        self.input.as_ref().is_some_and(|input| input.typed)
    }

    fn expects_something(&self) -> bool {
        self.expect.is_some() || self.http.is_some()
    }
}

/// A boot that went as it should: everything that was expected came, or, where
/// nothing was, the guest ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootOutcome {
    /// How the processor was provided.
    pub accel: Accel,
    /// From starting QEMU to the last of what was expected, or to the guest's end.
    pub took: Duration,
    /// The line that was expected, as it came.
    pub line: Option<String>,
    /// The page that was expected, as it came.
    pub page: Option<String>,
}

/// What happens while a machine runs.
#[derive(Debug)]
pub enum BootEvent<'a> {
    /// It is about to start, with these ports forwarded.
    Starting {
        /// How the processor is provided.
        accel: Accel,
        /// Why it is not KVM, where that was asked for or left open.
        why_no_kvm: Option<&'a str>,
        /// The ports, with the numbers that were chosen.
        forwards: &'a [Forward],
    },
    /// What came on the console, as it came, before the lines that it makes; told only where
    /// somebody types. A terminal obeys what is in it.
    Bytes(&'a [u8]),
    /// A line on the console, without control characters and of bounded length.
    Line(&'a str),
}

/// Where QEMU is, for machines of this architecture.
///
/// # Errors
/// [`BootError::NoQemu`] where it is in no folder of `PATH`.
pub fn find_qemu() -> Result<PathBuf, BootError> {
    qemu::find(None)
}

/// Tries whether hardware virtualisation boots `kernel`, unless `cache` remembers it.
///
/// # Errors
/// [`BootError::NoKvm`] with what was seen where it does not; others where it cannot be
/// tried.
pub fn probe_kvm(kernel: &Path, cache: &Path) -> Result<(), BootError> {
    accel::probe_or_recall(&qemu::find(None)?, kernel, cache)?
        .map_or(Ok(()), |why| Err(BootError::NoKvm { why }))
}

/// Takes what happens, and says whether the machine is to go on.
pub type OnEvent<'a> = dyn FnMut(BootEvent<'_>) -> ControlFlow<()> + 'a;

fn go_on(answer: ControlFlow<()>) -> Result<(), BootError> {
    match answer {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(BootError::BrokenOff),
    }
}

/// How often a port is chosen anew when another program was quicker to take it.
const PORT_TRIES: usize = 5;

/// Boots `machine` and waits for what `options` expect. The calling thread is busy
/// until then. Where `on_event` breaks off, the machine is stopped at once.
///
/// # Errors
/// [`BootError::BrokenOff`] where `on_event` breaks off; otherwise [`BootError`] where QEMU cannot be had or refuses to start, and where the guest
/// panics, ends, or lets the time pass before what was expected has come.
pub fn run(
    machine: &Machine,
    options: &Options,
    on_event: &mut OnEvent<'_>,
) -> Result<BootOutcome, BootError> {
    let from = match &machine.start {
        Start::Tender(tender) => return tender::run(tender, machine, options, on_event),
        Start::Kernel(kernel) => qemu::Bootable::Kernel(kernel),
        Start::Disc(disc) => qemu::Bootable::Disc(disc),
    };
    let qemu = qemu::find(options.search.as_deref())?;
    let plan = qemu::Plan::new(from, machine, options)?;
    let (accel, why_no_kvm) = accel::choose(&qemu, from, options)?;
    let mut tries = 1;
    loop {
        let forwards = qemu::choose_ports(&plan.forwards)?;
        let starting = BootEvent::Starting {
            accel,
            why_no_kvm: why_no_kvm.as_deref(),
            forwards: &forwards,
        };
        go_on(on_event(starting))?;
        let running = Running::start(
            plan.command(&qemu, accel, &forwards),
            options.input.as_ref(),
        )?;
        let watched = plan.watched(accel, &forwards);
        match watch::watch(running, watched, options, on_event) {
            Err(BootError::PortTaken { port })
                if tries < PORT_TRIES
                    && !plan.forwards.iter().any(|wanted| wanted.host == port) =>
            {
                tries += 1;
            }
            other => return other,
        }
    }
}
