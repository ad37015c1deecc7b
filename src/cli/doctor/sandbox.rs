//! What steps can run in.

use std::time::Duration;

use lunikernel_builder::sandbox::{Docker, EngineInfo, Facet, SandboxError, Surroundings};

use super::super::Context;
use super::super::sandbox::probe;
use super::{Finding, State};

/// All of them. Where an engine answers, the native sandbox may be missing.
pub(super) fn all(context: &Context) -> Vec<Finding> {
    let (mut native, engines) = (native(context), engines());
    let answers = engines.first().is_some_and(|it| it.state == State::Works);
    if native.state == State::Broken && answers {
        native.state = State::Limited;
        native.seen += "; steps run in the engine instead";
    }
    std::iter::once(native).chain(engines).collect()
}

/// Asks the engine that `--sandbox docker` would use, and any other that is there.
fn engines() -> Vec<Finding> {
    match Docker::each() {
        Ok(engines) => engines.into_iter().map(engine).collect(),
        Err(error) => vec![engine(Err(error))],
    }
}

fn engine(found: Result<EngineInfo, SandboxError>) -> Finding {
    let what = "Docker, Podman";
    match found {
        Ok(engine) => Finding::works(what, engine.to_string()),
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

/// Has a command traced as verify has, to vary the clock and the kernel's release.
pub(super) fn tracing(context: &Context) -> Finding {
    let what = "tracing";
    let lost = "verify cannot vary the clock and the kernel's release";
    let around = Surroundings {
        clock_ahead: Duration::from_secs(1),
        ..Surroundings::default()
    };
    let unable = match probe::among(context, &around) {
        Ok(unable) => unable,
        Err(failure) => {
            let seen = format!(
                "not tried, as it takes a native sandbox: {}",
                failure.in_one_line()
            );
            return Finding::gap(what, State::Unknown, seen);
        }
    };
    let Some(unable) = unable.iter().find(|unable| unable.facet == Facet::Clock) else {
        return Finding::works(what, "verify can vary the clock and the kernel's release");
    };
    let found = Finding::gap(what, State::Limited, format!("{}: {lost}", unable.why));
    let scope = fs_err::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match scope.trim() {
        "3" => found.mended_by(
            "boot without kernel.yama.ptrace_scope=3; it cannot be changed while the machine runs",
        ),
        _ => found,
    }
}
