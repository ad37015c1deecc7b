//! Standard input as the keyboard of a machine.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;

use lunikernel_builder::boot::Input;
use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Standard input, on its way to a machine. Dropped, the terminal is as it was.
pub(super) struct Keyboard {
    input: Input,
    _raw: Option<Raw>,
}

impl Keyboard {
    /// Passes on what comes from now on: of a terminal every key as it is pressed.
    pub(super) fn open(context: &Context) -> Result<Self, Failure> {
        let raw = match io::stdin().is_terminal() {
            true => Some(Raw::enter(context)?),
            false => None,
        };
        let (from, mut to) = io::pipe().map_err(failed)?;
        // It ends with the input or with this process, whichever is first.
        std::thread::spawn(move || io::copy(&mut io::stdin().lock(), &mut to));
        Ok(Self {
            input: Input {
                from: Arc::new(from),
                typed: raw.is_some(),
            },
            _raw: raw,
        })
    }

    /// What the machine is given.
    pub(super) fn input(&self) -> Input {
        self.input.clone()
    }

    /// Whether somebody types.
    pub(super) fn is_typed(&self) -> bool {
        self.input.typed
    }
}

/// A terminal that passes on keys as they are pressed, and shows none by itself.
struct Raw {
    before: Termios,
    /// What waits for signals.
    _runtime: Runtime,
}

impl Raw {
    fn enter(context: &Context) -> Result<Self, Failure> {
        let before = tcgetattr(stdin()).map_err(|errno| failed(errno.into()))?;
        let mut mode = before.clone();
        mode.make_raw();
        // What luni says itself ends its lines with a line feed alone.
        mode.output_modes = before.output_modes;
        let runtime = context.runtime()?;
        restore_on_signals(before.clone(), &runtime).map_err(failed)?;
        tcsetattr(stdin(), OptionalActions::Now, &mode).map_err(|errno| failed(errno.into()))?;
        Ok(Self {
            before,
            _runtime: runtime,
        })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Where it is gone, there is nothing to be restored.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// Has the terminal be as `before` when a signal ends this process. The machine ends with
/// it.
fn restore_on_signals(before: Termios, runtime: &Runtime) -> io::Result<()> {
    let _within = runtime.enter();
    // From here on they end nothing by themselves.
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut terminate = signal(SignalKind::terminate())?;
    runtime.spawn(async move {
        let number = tokio::select! {
            _ = hangup.recv() => 1,
            _ = interrupt.recv() => 2,
            _ = quit.recv() => 3,
            _ = terminate.recv() => 15,
        };
        let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
        // As shells have it for what a signal ended.
        std::process::exit(128 + number);
    });
    Ok(())
}

fn failed(error: io::Error) -> Failure {
    Failure::new(Exit::Failed, "could not give standard input to the machine").caused_by(&error)
}
