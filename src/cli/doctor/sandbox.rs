//! What steps can run in.

use std::collections::{BTreeMap, BTreeSet};

use lunikernel_builder::plan::Invocation;
use lunikernel_builder::sandbox::{Docker, Failure as StepFailure, Sandbox as _, Surroundings};
use lunikernel_cache::Tree;

use super::super::{Context, workshop};
use super::{Finding, State};
use crate::failure::Failure;

/// A program that is in no root.
const NO_PROGRAM: &str = "/nothing";

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

/// Sets up a sandbox for a command that is not there: getting as far as not finding it
/// means that all the rest works.
fn native(context: &Context) -> Finding {
    let what = "native sandbox";
    let nothing = Invocation {
        arguments: vec![NO_PROGRAM.to_owned()],
        environment: BTreeMap::new(),
        working_directory: "build".to_owned(),
        outputs: BTreeSet::new(),
        platform: BTreeMap::new(),
        timeout_seconds: 60,
        input_root: Tree::new(),
    };
    let tried = context.cache().and_then(|cache| {
        let action = nothing.encode();
        action.store(cache.blobs())?;
        let outcome = workshop::sandbox(&cache).run(&action.digest, &Surroundings::default())?;
        if let Some(kept) = outcome.kept {
            // It failed, as it had to; there is nothing in it to look at.
            let _ = lunikernel_cache::remove::remove_tree(&kept);
        }
        Ok::<_, Failure>(outcome.failure)
    });
    match tried {
        Ok(Some(StepFailure::CannotStart { program, .. })) if program == NO_PROGRAM => {
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
        Ok(other) => Finding::gap(
            what,
            State::Broken,
            format!("a command that is not there ended with {other:?}"),
        ),
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
