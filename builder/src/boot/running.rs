//! A program that runs a machine, and that does not outlive us.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

use super::{BootError, Input};

/// How much of what a program complains about is kept.
const MAX_COMPLAINT: u64 = 16 << 10;

/// A QEMU or tender that runs. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    complaints: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    /// Starts it with `input` as its standard input; returns it with its console, which is
    /// what it prints.
    pub(super) fn start(
        mut command: Command,
        input: Option<&Input>,
    ) -> Result<(Self, ChildStdout), BootError> {
        let input = match input {
            None => Stdio::null(),
            Some(input) => (input.from.try_clone())
                .map_err(BootError::io("give the machine its input"))?
                .into(),
        };
        command
            .stdin(input)
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
        let program = command.get_program().to_owned();
        let attempted = || format!("start {}", program.display());
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
            // It must not come to a halt because nobody reads on.
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
            .map_err(BootError::io("wait for the machine to end"))?;
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
