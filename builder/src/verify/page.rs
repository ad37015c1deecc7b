//! The report as one page for browsers.
use super::Report;
/// x
#[must_use]
pub fn page(report: &Report) -> String { format!("{report:?}") }
