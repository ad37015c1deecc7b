//! What can go wrong with a boot.

use std::io;
use std::time::Duration;

/// A boot that did not go as it should.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// QEMU is not installed.
    #[error("could not find {program} to boot a machine with")]
    NoQemu {
        /// The program.
        program: &'static str,
    },
    /// The tender is not installed.
    #[error("could not find the tender {program} to run a unikernel with")]
    NoTender {
        /// The program.
        program: &'static str,
    },
    /// The operating system refused something.
    #[error("could not {attempted}")]
    Io {
        /// What was being done.
        attempted: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Hardware virtualisation was asked for and does not work.
    #[error("hardware virtualisation (KVM) does not work here: {why}")]
    NoKvm {
        /// What was seen.
        why: String,
    },
    /// A value that cannot be passed on.
    #[error("{what} {value:?} cannot be used: {why}")]
    Value {
        /// Whose value.
        what: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A port of this machine is in use.
    #[error(
        "could not forward port {port} of 127.0.0.1: another program uses it, or it is reserved"
    )]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// QEMU or a tender ended with an error.
    #[error("what runs the machine ended with an error ({status}): {message}")]
    Qemu {
        /// Its exit status.
        status: String,
        /// The end of what it said.
        message: String,
    },
    /// The kernel gave up.
    #[error("the kernel panicked: {line}{}", tail(.last))]
    Panic {
        /// The line in which it says so.
        line: String,
        /// The last lines on the console.
        last: Vec<String>,
    },
    /// The boot loader gave up.
    #[error("the boot loader could not start the kernel{}", tail(.last))]
    Loader {
        /// The last lines on the console.
        last: Vec<String>,
    },
    /// The guest ended before what was expected had come.
    #[error("the guest ended before {awaited}{}", tail(.last))]
    Ended {
        /// What was awaited.
        awaited: String,
        /// The last lines on the console.
        last: Vec<String>,
    },
    /// Who follows it wants no more of it.
    #[error("the machine was stopped: what it says is not wanted any more")]
    BrokenOff,
    /// The time passed before what was expected had come.
    #[error("{} seconds passed before {awaited}{}", .timeout.as_secs_f32(), tail(.last))]
    Deadline {
        /// How long it was given.
        timeout: Duration,
        /// What was awaited.
        awaited: String,
        /// The last lines on the console.
        last: Vec<String>,
    },
}

fn tail(lines: &[String]) -> String {
    if lines.is_empty() {
        return "; nothing came on the console".to_owned();
    }
    let lines: String = lines.iter().map(|line| format!("\n  | {line}")).collect();
    format!("; the console's last lines:{lines}")
}

impl BootError {
    /// For `map_err`: an I/O error with what was attempted.
    pub(super) fn io(attempted: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let attempted = attempted.into();
        move |source| Self::Io { attempted, source }
    }

    /// Whether the guest started, and then failed.
    #[must_use]
    pub fn is_of_guest(&self) -> bool {
        match self {
            Self::Panic { .. }
            | Self::Loader { .. }
            | Self::Ended { .. }
            | Self::Deadline { .. }
            | Self::Qemu { .. } => true,
            Self::NoQemu { .. }
            | Self::NoTender { .. }
            | Self::Io { .. }
            | Self::NoKvm { .. }
            | Self::Value { .. }
            | Self::PortTaken { .. }
            | Self::BrokenOff => false,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoQemu { .. } => Some(
                "it is in Debian's package qemu-system-x86: `sudo apt-get install --no-install-recommends qemu-system-x86`"
                    .to_owned(),
            ),
            Self::NoTender { .. } => Some(
                "name it with `--tender PATH`, or run the one in the Lunikernel, if it has one, with `--own-tender`"
                    .to_owned(),
            ),
            Self::NoKvm { .. } => {
                Some("leave it to luni with `--accel auto`, or emulate with `--accel tcg`".to_owned())
            }
            Self::PortTaken { .. } => {
                Some("leave the choice of the port to luni with `--net GUESTPORT`".to_owned())
            }
            Self::Loader { .. } => Some(
                "where it is short of memory, give it more with `--memory`, or say so in the recipe as \
                 `boot.min_memory_mib`"
                    .to_owned(),
            ),
            Self::Deadline { last, .. } if last.is_empty() => Some(
                "see that it has enough memory (`--memory`), and of a Linux, by `luni inspect`, that its \
                 command line has `console=ttyS0`; else give it longer with `--timeout`"
                    .to_owned(),
            ),
            Self::Deadline { .. } => {
                Some("emulation is slow on a busy machine: give it longer with `--timeout`".to_owned())
            }
            Self::Io { .. }
            | Self::Value { .. }
            | Self::Qemu { .. }
            | Self::Panic { .. }
            | Self::BrokenOff
            | Self::Ended { .. } => None,
        }
    }
}
