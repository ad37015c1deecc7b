//! Release files must not go back in time: an older one is as well signed as the newest,
//! and lists packages with holes that have been mended since.

use super::Vouched;
use super::date::Date;
use super::error::DebError;
use super::suites::Suite;

/// Compares what was found with the release files that a lock was made by.
///
/// # Errors
/// [`DebError::Older`] where one of them is older now, and [`DebError::Gone`] where none
/// of the archives has it any more: a mirror that hides security updates looks like that.
pub(super) fn check(found: &[Suite], before: &[Vouched]) -> Result<(), DebError> {
    for locked in before {
        let same = |suite: &&Suite| {
            let (theirs, release) = (&suite.release, locked);
            (&suite.archive, &suite.name) == (&release.archive, &release.suite)
                && (&theirs.origin, &theirs.label) == (&release.origin, &release.label)
        };
        let Some(suite) = found.iter().find(same) else {
            return Err(DebError::Gone {
                suite: locked.suite.clone(),
                archive: locked.archive.clone(),
            });
        };
        let Some(date) = Date::parse_snapshot(&locked.snapshot) else {
            continue;
        };
        if suite.release.date < date {
            return Err(DebError::Older {
                url: suite.base.clone().into(),
                date: suite.release.date.to_string(),
                locked: date.to_string(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "rollback_tests.rs"]
mod tests;
