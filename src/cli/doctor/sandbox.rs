//! What steps can run in.

use lunikernel_builder::sandbox::Docker;

use super::super::Context;
use super::super::sandbox::probe;
use super::{Finding, State};

/// All of them. Where an engine answers, the native sandbox may be missing.
pub(super) fn all(context: &Context) -> [Finding; 2] {
    let (mut native, engine) = (native(context), engine());
    if native.state == State::Broken && engine.state == State::Works {
        native.state = State::Limited;
        native.seen += "; steps run in the engine instead";
    }
    [native, engine]
}

/// Asks the engine that `--sandbox docker` would use.
fn engine() -> Finding {
    let what = "Docker, Podman";
    match Docker::connect() {
        Ok(docker) => Finding::works(what, docker.engine().to_string()),
        Err(error) => {
            let mut seen = error.to_string();
            if let Some(cause) = std::error::Error::source(&error) {
                seen += &format!(": {cause}");
            }
            let mut found = Finding::gap(what, State::Limited, seen);
            found.mend = error.hint();
            found
        }
    }
}

/// Sets one up for nothing.
fn native(context: &Context) -> Finding {
    let what = "native sandbox";
    match probe::native(context) {
        Ok(()) => {
            let who = if rustix::process::geteuid().is_root() {
                "as root"
            } else {
                "as an ordinary user"
            };
            Finding::works(
                what,
                format!("namespaces, overlay, seccomp: all work {who}"),
            )
        }
        Err(failure) => {
            let mend = failure.hint().map(str::to_owned);
            let mut found = Finding::gap(what, State::Broken, failure.in_one_line());
            found.mend = mend;
            found
        }
    }
}

/// Whether processes may trace their own children, without which verify cannot vary
/// the clock and the kernel's release.
pub(super) fn tracing() -> Finding {
    let what = "tracing";
    let scope = fs_err::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    if scope.trim() == "3" {
        return Finding::gap(
            what,
            State::Limited,
            "off (kernel.yama.ptrace_scope is 3): verify cannot vary the clock and the kernel's release",
        )
        .mended_by("boot without this setting; it cannot be changed while the machine runs");
    }
    Finding::works(what, "verify can vary the clock and the kernel's release")
}
