//! The same for errors of sources, and of locks that pin them. Each kind of source is
//! named in each match, so that a new one is thought of.

use lunikernel_builder::lock::{LockError, SourceError};
use lunikernel_builder::source::SolveError;
use lunikernel_builder::source::apk::ApkSourceError;
use lunikernel_builder::source::deb::DebError;
use lunikernel_builder::source::file::FileError;
use lunikernel_builder::source::git::GitError;
use lunikernel_builder::source::krate::CrateError;
use lunikernel_builder::source::oci::OciError;
use lunikernel_builder::source::tcz::TczError;
use lunikernel_builder::source::url::UrlError;

use crate::exit::Exit;
use crate::failure::Explain;

impl Explain for DebError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    /// What is valid for a time looks expired, or not valid yet, where the clock is wrong.
    fn is_gap(&self) -> bool {
        match self {
            Self::Expired { .. } => true,
            Self::Release { source, .. } => source.is_untimely(),
            Self::Fetch { source, .. } => source.is_gap(),
            _ => false,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Fetch { source, .. } => source.exit(),
            // The archive was had and believed, and what the recipe asks for is not to
            // be had from it: another day or mirror would not help.
            Self::NoComponent { .. }
            | Self::Request { .. }
            | Self::Contradiction { .. }
            | Self::NoPackage { .. }
            | Self::Virtual { .. }
            | Self::NoVersion { .. }
            | Self::Solve(SolveError::Conflict(_)) => Exit::BadInput,
            _ => Exit::Unavailable,
        }
    }
}

impl Explain for ApkSourceError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn is_gap(&self) -> bool {
        match self {
            Self::Fetch { source, .. } | Self::Package { source, .. } => source.is_gap(),
            _ => false,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Fetch { source, .. } | Self::Package { source, .. } => source.exit(),
            Self::Address { .. }
            | Self::Key { .. }
            | Self::NoKeys
            | Self::NoBase { .. }
            | Self::BaseArchive { .. }
            | Self::NoArchive { .. }
            | Self::Undecided { .. }
            | Self::BaseFile { .. }
            | Self::Request { .. }
            | Self::Contradiction { .. }
            | Self::NoPackage { .. }
            | Self::Along { .. }
            | Self::Solve(SolveError::Conflict(_)) => Exit::BadInput,
            Self::Cache(_) => Exit::Failed,
            Self::Solve(_)
            | Self::Older { .. }
            | Self::Withdrawn { .. }
            | Self::Index { .. }
            | Self::Refused { .. }
            | Self::Signature { .. }
            | Self::Size { .. } => Exit::Unavailable,
        }
    }
}

impl Explain for GitError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn is_gap(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_gap(),
            _ => false,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Fetch(error) => error.exit(),
            Self::Cache(_) => Exit::Failed,
            Self::Address { .. }
            | Self::Rev { .. }
            | Self::Content { .. }
            | Self::Submodule { .. } => Exit::BadInput,
            Self::Git { .. } | Self::Changed { .. } | Self::Dropped { .. } => Exit::Unavailable,
        }
    }
}

impl Explain for CrateError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn is_gap(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_gap(),
            _ => false,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Fetch(error) => error.exit(),
            Self::NoCrate { .. } | Self::NoVersion { .. } => Exit::BadInput,
            Self::Config(_) | Self::Registry { .. } => Exit::Unavailable,
        }
    }
}

impl Explain for OciError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn is_gap(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_gap(),
            Self::Reference { .. }
            | Self::NoImage { .. }
            | Self::Layout { .. }
            | Self::Lacks { .. }
            | Self::NotInLayout { .. }
            | Self::Document { .. }
            | Self::Choice { .. }
            | Self::Cache(_) => false,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Fetch(error) => error.exit(),
            Self::Reference { .. }
            | Self::NoImage { .. }
            | Self::Layout { .. }
            | Self::Lacks { .. }
            | Self::NotInLayout { .. }
            | Self::Document { .. }
            | Self::Choice { .. } => Exit::BadInput,
            Self::Cache(_) => Exit::Failed,
        }
    }
}

impl Explain for TczError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn is_gap(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_gap(),
            Self::Address { .. }
            | Self::Missing { .. }
            | Self::Kernel { .. }
            | Self::TooMany { .. }
            | Self::List { .. }
            | Self::Sum { .. }
            | Self::Md5 { .. } => false,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Fetch(error) => error.exit(),
            // The mirror was asked, and what the recipe names is not there.
            Self::Address { .. }
            | Self::Missing { .. }
            | Self::Kernel { .. }
            | Self::TooMany { .. } => Exit::BadInput,
            // What came is not to be trusted.
            Self::List { .. } | Self::Sum { .. } | Self::Md5 { .. } => Exit::Unavailable,
        }
    }
}

impl Explain for UrlError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn is_gap(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_gap(),
            Self::Address { .. } | Self::Vanished { .. } => false,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Fetch(error) => error.exit(),
            Self::Address { .. } => Exit::BadInput,
            Self::Vanished { .. } => Exit::Unavailable,
        }
    }
}

impl Explain for FileError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn exit(&self) -> Exit {
        Exit::BadInput
    }
}

impl Explain for SourceError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn is_gap(&self) -> bool {
        match self {
            Self::Deb(error) => error.is_gap(),
            Self::Apk(error) => error.is_gap(),
            Self::Url(error) => error.is_gap(),
            Self::Git(error) => error.is_gap(),
            Self::Crate(error) => error.is_gap(),
            Self::Oci(error) => error.is_gap(),
            Self::Tcz(error) => error.is_gap(),
            Self::File(error) => error.is_gap(),
            Self::Fetch(error) => error.is_gap(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Deb(error) => error.exit(),
            Self::Apk(error) => error.exit(),
            Self::Url(error) => error.exit(),
            Self::Git(error) => error.exit(),
            Self::Crate(error) => error.exit(),
            Self::Oci(error) => error.exit(),
            Self::Tcz(error) => error.exit(),
            Self::File(error) => error.exit(),
            Self::Fetch(error) => error.exit(),
        }
    }
}

impl Explain for LockError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn is_gap(&self) -> bool {
        match self {
            Self::Source { source, .. } => source.is_gap(),
            Self::Absent { .. }
            | Self::Stale { .. }
            | Self::Syntax { .. }
            | Self::NothingToUpdate { .. }
            | Self::Overlaid { .. }
            | Self::Links { .. }
            | Self::Artefact(_)
            | Self::Asked { .. }
            | Self::Io { .. }
            | Self::Cache(_) => false,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Absent { .. } | Self::Stale { .. } => Exit::Lock,
            Self::Syntax { .. }
            | Self::NothingToUpdate { .. }
            | Self::Overlaid { .. }
            | Self::Links { .. } => Exit::BadInput,
            Self::Artefact(error) => error.exit(),
            Self::Source { source, .. } => source.exit(),
            Self::Asked { .. } | Self::Io { .. } | Self::Cache(_) => Exit::Failed,
        }
    }
}
