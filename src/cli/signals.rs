//! What a signal that ends this process has to wait for, and what is done before.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, Once, OnceLock, PoisonError};

use lunikernel_builder::sandbox::Docker;
use tokio::signal::unix::{SignalKind, signal};

use crate::paint;

/// Whether a signal is ending this process.
static SIGNALLED: AtomicBool = AtomicBool::new(false);
/// Held by what is done to its end.
static MOMENT: Mutex<()> = Mutex::new(());
/// The engine that has something of this process.
static ENGINE: OnceLock<Docker> = OnceLock::new();

/// Has what is in the engine removed before this process ends by a signal.
pub(super) fn clean_up(docker: &Docker) {
    if ENGINE.set(docker.clone()).is_ok() {
        watch();
    }
}

/// Does `work`, which must take but a moment, to its end, whatever signals come: those that
/// end this process do so when it is done.
pub(super) fn to_its_end<T>(work: impl FnOnce() -> T) -> T {
    watch();
    let _moment = MOMENT.lock().unwrap_or_else(PoisonError::into_inner);
    work()
}

/// Waits for the end of this process, where a signal is ending it: the error that its doing
/// makes elsewhere is not to be told.
pub(super) fn let_end() {
    while SIGNALLED.load(Ordering::Relaxed) {
        std::thread::park();
    }
}

/// Has signals answered from now on.
fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let (ready, is_ready) = sync_channel(1);
        // Without the thread, a signal ends this process at once.
        let spawned = std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || wait(&ready));
        if spawned.is_ok() {
            // It fails where no signal can be waited for.
            let _ = is_ready.recv();
        }
    });
}

fn wait(ready: &SyncSender<()>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return;
    };
    let number = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).ok()?;
        let mut hangup = signal(SignalKind::hangup()).ok()?;
        let mut interrupt = signal(SignalKind::interrupt()).ok()?;
        ready.send(()).ok()?;
        tokio::select! {
            _ = terminate.recv() => Some(15),
            _ = hangup.recv() => Some(1),
            _ = interrupt.recv() => Some(2),
        }
    });
    if let Some(number) = number {
        // Not let go of: nothing of the kind begins any more.
        let _moment = MOMENT.lock().unwrap_or_else(PoisonError::into_inner);
        SIGNALLED.store(true, Ordering::Relaxed);
        if let Some(docker) = ENGINE.get() {
            let _ = docker.clean_up();
        }
        if std::io::stderr().is_terminal() {
            // Bars hide the cursor while they are drawn.
            paint::show_cursor();
        }
        // As shells have it for what a signal ended.
        std::process::exit(128 + number);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    const FILE: &str = "LUNI_TEST_DONE";

    /// What the other test starts, and nothing by itself.
    #[test]
    fn child() {
        let Some(file) = std::env::var_os(FILE) else {
            return;
        };
        to_its_end(|| {
            kill_process(getpid(), Signal::INT).unwrap();
            // Long enough for the signal to end a process that does not wait.
            std::thread::sleep(Duration::from_millis(500));
            fs_err::write(file, "done").unwrap();
        });
        std::thread::sleep(Duration::from_secs(600));
    }

    #[test]
    fn what_is_begun_is_done_before_a_signal_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cli::signals::tests::child"])
            .env(FILE, &file)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(130));
        assert_eq!(fs_err::read_to_string(file).unwrap(), "done");
    }
}
