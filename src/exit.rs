//! Exit codes. `docs/exit-codes.md` has them for people; a test keeps it in step.

use std::process::ExitCode;

/// How `luni` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    dead_code,
    reason = "the list is complete as documented, whichever verbs are built in"
)]
pub(crate) enum Exit {
    /// What was asked for is done.
    Ok,
    /// Something failed that has no code of its own.
    Failed,
    /// The command line is wrong.
    Usage,
    /// A recipe, or another file that was given, is wrong.
    BadInput,
    /// The lock is missing or does not fit its recipe.
    Lock,
    /// Inputs cannot be had.
    Unavailable,
    /// A command of a step failed in the sandbox.
    Step,
    /// A rebuild gave other bytes, or two that were compared differ.
    Differs,
    /// It could not be decided whether a rebuild gives the same bytes.
    Undecided,
    /// Too few of those who are trusted vouch for an artefact.
    Unvouched,
    /// Those who are trusted contradict each other, or the file at hand.
    Contradicted,
    /// A rebuild gave the same bytes, but not all that was to be varied could be.
    Unvaried,
    /// As a command that was run on the user's behalf ended.
    Passed(u8),
}

impl Exit {
    /// Every way to end, in the order of the codes.
    pub(crate) const ALL: [Self; 12] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::BadInput,
        Self::Lock,
        Self::Unavailable,
        Self::Step,
        Self::Differs,
        Self::Undecided,
        Self::Unvouched,
        Self::Contradicted,
        Self::Unvaried,
    ];

    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::BadInput => 3,
            Self::Lock => 4,
            Self::Unavailable => 5,
            Self::Step => 6,
            Self::Differs => 10,
            Self::Undecided => 11,
            Self::Unvouched => 12,
            Self::Contradicted => 13,
            Self::Unvaried => 14,
            Self::Passed(code) => code,
        }
    }

    /// What it means, in a few words.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done; for verify: GOOD",
            Self::Failed => "failed, for a reason without a code of its own",
            Self::Usage => "the command line is wrong",
            Self::BadInput => "a recipe or another given file is wrong",
            Self::Lock => "the lock is missing or not current",
            Self::Unavailable => "inputs cannot be had",
            Self::Step => "a step failed in the sandbox",
            Self::Differs => "verify: DIFFERS; diff: two differ",
            Self::Undecided => "verify: FAILED, no verdict",
            Self::Unvouched => "attest verify: too few of the keys vouch for it",
            Self::Contradicted => {
                "attest verify: the attestations contradict each other or the file"
            }
            Self::Unvaried => "verify --strict: GOOD, but something could not be varied",
            Self::Passed(_) => "shell: as the command in the sandbox ended",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
