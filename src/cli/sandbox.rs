//! Which sandbox runs the steps, and what becomes of it when a signal ends this process.

pub(super) mod probe;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use lunikernel_builder::sandbox::{
    Docker, LogSink, Native, Outcome, Sandbox, SandboxError, Surroundings,
};
use lunikernel_cache::{Cache, Digest, Progress};

use super::Context;
use super::{signals, workshop};
use crate::failure::Failure;

/// What steps run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SandboxChoice {
    /// Native where it can be set up, else docker
    Auto,
    /// Namespaces of this machine's kernel
    Native,
    /// Containers of Docker, Podman, or another engine with Docker's API
    Docker,
    /// For verify: each of the two that answers, in turn; else as auto
    Mix,
}

impl SandboxChoice {
    /// What it is called in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Docker => "docker",
            Self::Mix => "mix",
        }
    }
}

/// The sandboxes that take turns where the command line asks for several.
pub(crate) fn in_turn(context: &Context) -> Result<Vec<SandboxChoice>, Failure> {
    Ok(match context.sandbox()? {
        SandboxChoice::Mix => mixed(
            probe::native(context).is_ok(),
            context.engine().get().is_ok(),
        ),
        one => vec![one],
    })
}

/// Each kind that works. Where none does, the first round says what is missing.
fn mixed(native: bool, engine: bool) -> Vec<SandboxChoice> {
    match (native, engine) {
        (true, true) => vec![SandboxChoice::Native, SandboxChoice::Docker],
        (false, true) => vec![SandboxChoice::Docker],
        (_, false) => vec![SandboxChoice::Native],
    }
}

/// The connection to an engine, made when first needed and kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Engine(Arc<OnceLock<Docker>>);

impl Engine {
    fn get(&self) -> Result<Docker, SandboxError> {
        if let Some(docker) = self.0.get() {
            return Ok(docker.clone());
        }
        let docker = Docker::connect()?;
        signals::clean_up(&docker);
        Ok(self.0.get_or_init(|| docker).clone())
    }

    /// Removes what is left in the engine, before this process ends.
    pub(crate) fn leave(&self) {
        // A signal has this done, and ends the process.
        signals::let_end();
        if let Some(docker) = self.0.get() {
            // What stays is listed by `luni cache gc`.
            let _ = docker.clean_up();
        }
    }
}

/// The sandbox that was chosen.
pub(crate) fn chosen(
    choice: SandboxChoice,
    context: &Context,
    cache: &Cache,
    sink: LogSink,
) -> Result<Arc<dyn Sandbox>, Failure> {
    let native = workshop::sandbox(cache).with_log(Arc::clone(&sink));
    Ok(match choice {
        SandboxChoice::Native => Arc::new(native),
        SandboxChoice::Docker => in_docker(&context.engine().get()?, cache, sink),
        SandboxChoice::Auto | SandboxChoice::Mix => Arc::new(Auto {
            native,
            engine: context.engine().clone(),
            cache: cache.clone(),
            sink,
            progress: context.progress(),
            instead: OnceLock::new(),
        }),
    })
}

/// This very program is started again inside.
fn in_docker(docker: &Docker, cache: &Cache, sink: LogSink) -> Arc<dyn Sandbox> {
    let program = Path::new("/proc/self/exe").to_owned();
    Arc::new(docker.sandbox(cache.clone(), program).with_log(sink))
}

/// The native sandbox; where that cannot be set up, an engine's, if one answers.
struct Auto {
    native: Native,
    engine: Engine,
    cache: Cache,
    sink: LogSink,
    progress: Arc<dyn Progress>,
    instead: OnceLock<Arc<dyn Sandbox>>,
}

impl Sandbox for Auto {
    fn name(&self) -> &'static str {
        // The native one is tried first.
        self.instead
            .get()
            .map_or(self.native.name(), |instead| instead.name())
    }

    fn run(&self, action: &Digest, around: &Surroundings) -> Result<Outcome, SandboxError> {
        if let Some(instead) = self.instead.get() {
            return instead.run(action, around);
        }
        let failed = match self.native.run(action, around) {
            Err(failed @ SandboxError::Setup { .. }) => failed,
            other => return other,
        };
        let Ok(docker) = self.engine.get() else {
            return Err(or_docker(failed));
        };
        self.progress.note(&format!(
            "steps run in {}, as the native sandbox does not work here: {failed}",
            docker.engine()
        ));
        let instead = in_docker(&docker, &self.cache, Arc::clone(&self.sink));
        self.instead.get_or_init(|| instead).run(action, around)
    }
}

/// The same error; its hint names the other way too.
fn or_docker(error: SandboxError) -> SandboxError {
    let other = "start Docker or Podman, which are used where one answers";
    match error {
        SandboxError::Setup {
            attempted,
            source,
            hint,
        } => SandboxError::Setup {
            attempted,
            source,
            hint: Some(match hint {
                Some(hint) => format!("{hint}; or {other}"),
                None => other.to_owned(),
            }),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::SandboxChoice::{Docker, Native};
    use super::mixed;

    #[test]
    fn only_what_works_takes_turns() {
        assert_eq!(mixed(true, true), [Native, Docker]);
        assert_eq!(mixed(false, true), [Docker]);
        assert_eq!(mixed(true, false), [Native]);
        assert_eq!(mixed(false, false), [Native]);
    }
}
