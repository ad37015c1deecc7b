//! How progress looks: bars on a terminal, lines elsewhere, nothing with `--quiet`.
//! All of it goes to standard error.

mod bars;
mod last_line;
mod lines;
mod printable;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use lunikernel_cache::{Progress, Silent};

/// Progress as it suits where standard error goes.
pub(crate) fn for_terminal(quiet: bool) -> Arc<dyn Progress> {
    if quiet {
        Arc::new(Silent)
    } else if std::io::stderr().is_terminal() && !is_dumb() {
        Arc::new(printable::Printable(bars::Bars::new()))
    } else {
        Arc::new(printable::Printable(lines::Lines))
    }
}

/// Whether the terminal cannot move its cursor.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// The line that a finished task leaves: `fetching hello.deb, 1.2 MiB in 3.4 s (cached)`.
fn finished(verb: &str, what: &str, bytes: u64, took: Duration, outcome: &str) -> String {
    let mut line = format!("{verb} {what}");
    if bytes > 0 {
        line += &format!(", {}", indicatif::BinaryBytes(bytes));
    }
    if took >= Duration::from_millis(50) {
        line += &format!(" in {:.1} s", took.as_secs_f64());
    }
    if !outcome.is_empty() {
        line += &format!(" ({outcome})");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_task_says_what_how_much_and_how_long() {
        let took = Duration::from_millis(3449);
        assert_eq!(
            finished("fetching", "a.deb", 1_258_291, took, ""),
            "fetching a.deb, 1.20 MiB in 3.4 s"
        );
        assert_eq!(
            finished("running", "compile", 0, Duration::ZERO, "cached"),
            "running compile (cached)"
        );
    }
}
