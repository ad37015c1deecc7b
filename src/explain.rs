//! What the errors of the libraries mean on the command line: which hint, which exit
//! code, and what else there is to show.

mod sources;

use std::io::ErrorKind;

use lunikernel_builder::attest::AttestError;
use lunikernel_builder::boot::BootError;
use lunikernel_builder::build::{AlpineError, BuildError};
use lunikernel_builder::fetch::{FetchError, Missing};
use lunikernel_builder::inputs_tar::InputsTarError;
use lunikernel_builder::inspect::InspectError;
use lunikernel_builder::mirror::MirrorError;
use lunikernel_builder::overlay::OverlayError;
use lunikernel_builder::recipe::{Complaint, RecipeError};
use lunikernel_builder::sandbox::SandboxError;
use lunikernel_builder::unikernel::ModulesError;
use lunikernel_builder::verify::{CompareError, VerifyError};
use lunikernel_cache::CacheError;
use lunikernel_cache::artefact::ArtefactError;

use crate::exit::Exit;
use crate::failure::{Explain, Log};

impl Explain for CacheError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }
}

impl Explain for RecipeError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn exit(&self) -> Exit {
        Exit::BadInput
    }

    fn complaints(&self) -> &[Complaint] {
        self.complaints()
    }
}

impl Explain for FetchError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn is_gap(&self) -> bool {
        match self {
            Self::Unavailable(missing) => missing.iter().all(Missing::is_out_of_reach),
            Self::Failed(attempt) => attempt.answer.is_about_server(),
            _ => false,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Cache(_) => Exit::Failed,
            _ => Exit::Unavailable,
        }
    }
}

impl Explain for MirrorError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoList { .. } => Exit::Usage,
            Self::Address { .. } => Exit::BadInput,
            Self::Push(_) | Self::List(_) | Self::Ask(_) | Self::NoNetwork { .. } => {
                Exit::Unavailable
            }
            Self::Fetch(error) => error.exit(),
            Self::Cache(CacheError::Missing { .. }) => Exit::Unavailable,
            Self::Cache(_) => Exit::Failed,
        }
    }
}

impl Explain for InputsTarError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } | Self::Cache(_) => Exit::Failed,
            _ => Exit::BadInput,
        }
    }
}

impl Explain for SandboxError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn is_gap(&self) -> bool {
        matches!(self, Self::Setup { .. } | Self::Engine { .. })
    }
}

impl Explain for BuildError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn is_gap(&self) -> bool {
        match self {
            Self::Sandbox(error) => error.is_gap(),
            Self::Fetch(error) => error.is_gap(),
            Self::Lock(error) => error.is_gap(),
            _ => false,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Fetch(error) => error.exit(),
            Self::Lock(error) => error.exit(),
            Self::Git { source, .. } => source.exit(),
            Self::StepFailed { .. } | Self::Alpine(AlpineError::Script { .. }) => Exit::Step,
            Self::OtherOutputs { .. } => Exit::Unavailable,
            Self::Image { source, .. } if source.is_of_the_store() => Exit::Failed,
            Self::NothingToRemove { .. }
            | Self::NoSuchMaterial { .. }
            | Self::NoSuchPart { .. }
            | Self::NotARoot { .. }
            | Self::NotAnArchive { .. }
            | Self::Link { .. }
            | Self::LinkInFiles { .. }
            | Self::NotAFile { .. }
            | Self::KernelTooLarge { .. }
            | Self::Archive { .. }
            | Self::Image { .. }
            | Self::List { .. }
            | Self::NoSuchStep { .. }
            | Self::Alpine(_)
            | Self::Flavour(_)
            | Self::Kernel(_)
            | Self::Modules(_) => Exit::BadInput,
            _ => Exit::Failed,
        }
    }

    fn log(&self) -> Option<Log<'_>> {
        match self {
            Self::StepFailed { tail, log, .. } => Some(Log {
                tail,
                path: log.as_deref(),
            }),
            Self::Alpine(AlpineError::Script { tail, .. }) => Some(Log { tail, path: None }),
            _ => None,
        }
    }
}

impl Explain for VerifyError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn exit(&self) -> Exit {
        Exit::Undecided
    }

    fn is_gap(&self) -> bool {
        match self {
            Self::Build { source, .. } | Self::Trial(source) => source.is_gap(),
            // A builder asks for its engine.
            Self::Prepare(_) => true,
            _ => false,
        }
    }

    fn log(&self) -> Option<Log<'_>> {
        match self {
            Self::Build { source, .. } | Self::Trial(source) => source.log(),
            _ => None,
        }
    }
}

impl Explain for CompareError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Artefact(error) => error.exit(),
            Self::Read { .. } | Self::Contradiction { .. } => Exit::BadInput,
            Self::File { .. } | Self::Copy(_) => Exit::Failed,
        }
    }
}

impl Explain for BootError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn is_gap(&self) -> bool {
        matches!(
            self,
            Self::NoQemu { .. } | Self::NoTender { .. } | Self::NoKvm { .. }
        )
    }
}

impl Explain for ModulesError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Artefact(error) => error.exit(),
            Self::Read { .. } => Exit::Failed,
            _ => Exit::BadInput,
        }
    }
}

impl Explain for ArtefactError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn exit(&self) -> Exit {
        match self {
            // As with a recipe that is not there.
            Self::Io { source, .. } if source.kind() != ErrorKind::NotFound => Exit::Failed,
            Self::Changed { .. } => Exit::Failed,
            _ => Exit::BadInput,
        }
    }
}

impl Explain for InspectError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn exit(&self) -> Exit {
        Exit::BadInput
    }
}

impl Explain for OverlayError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn exit(&self) -> Exit {
        if self.is_bad_input() {
            Exit::BadInput
        } else {
            Exit::Failed
        }
    }
}

impl Explain for AttestError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Random(_) | Self::Encode(_) => Exit::Failed,
            Self::Threshold { .. } => Exit::Usage,
            Self::TooFew { .. } => Exit::Unvouched,
            Self::Conflict { .. } => Exit::Contradicted,
            _ => Exit::BadInput,
        }
    }

    fn complaints(&self) -> &[Complaint] {
        self.complaints()
    }
}

#[cfg(test)]
mod tests;
