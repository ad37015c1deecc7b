//! Progress on a terminal: a bar per task with a known size, a spinner per other one.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use lunikernel_cache::{Progress, Task};

/// How often a spinner turns: often enough to show life, seldom enough to cost nothing.
const TICK: Duration = Duration::from_millis(120);

/// A task with a size; 80 columns leave 30 of them for its name.
const SIZED: &str = "{prefix} {wide_msg} {bar:12} {percent:>3}% {binary_total_bytes:>10} {binary_bytes_per_sec:>12}";

/// A task without one.
const UNSIZED: &str = "{spinner} {prefix} {wide_msg} {elapsed}";

/// A task without a size that took less than this leaves no line: it was not waited for.
const WORTH_A_LINE: Duration = Duration::from_millis(500);

/// Bars and spinners, several at once.
pub(super) struct Bars {
    all: MultiProgress,
    sized: ProgressStyle,
    unsized_: ProgressStyle,
}

impl Bars {
    pub(super) fn new() -> Self {
        Self {
            all: MultiProgress::new(),
            sized: style(ProgressStyle::default_bar(), SIZED),
            unsized_: style(ProgressStyle::default_spinner(), UNSIZED),
        }
    }
}

/// A style after `template`, or the plain one if indicatif should not take it.
fn style(plain: ProgressStyle, template: &str) -> ProgressStyle {
    plain.clone().template(template).unwrap_or(plain)
}

struct BarTask {
    all: MultiProgress,
    bar: ProgressBar,
    verb: &'static str,
    begun: Instant,
}

impl Progress for Bars {
    fn start(&self, verb: &'static str, what: &str, total: Option<u64>) -> Box<dyn Task> {
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(self.sized.clone()),
            None => ProgressBar::no_length().with_style(self.unsized_.clone()),
        };
        let bar = self.all.add(
            bar.with_prefix(verb)
                .with_message(Cow::Owned(what.to_owned())),
        );
        if total.is_none() {
            bar.enable_steady_tick(TICK);
        }
        Box::new(BarTask {
            all: self.all.clone(),
            bar,
            verb,
            begun: Instant::now(),
        })
    }

    fn note(&self, text: &str) {
        // A terminal that went away must not end a build.
        let _ = self.all.println(text);
    }
}

impl Task for BarTask {
    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// A download that is done is no news; a step that took its time is.
    fn finish(self: Box<Self>, outcome: &str) {
        let took = self.begun.elapsed();
        if self.bar.length().is_none() && took >= WORTH_A_LINE {
            let bytes = self.bar.position();
            let line = super::finished(self.verb, &self.bar.message(), bytes, took, outcome);
            let _ = self.all.println(line);
        }
    }
}

impl Drop for BarTask {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.all.remove(&self.bar);
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_understood() {
        for template in [SIZED, UNSIZED] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
