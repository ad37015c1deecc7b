//! Progress on a terminal: a bar per task with a known size, a spinner per other one,
//! and below them the last line that a running command printed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use lunikernel_cache::{Progress, Task};

use super::last_line::LastLine;

/// How often a spinner turns: often enough to show life, seldom enough to cost nothing.
const TICK: Duration = Duration::from_millis(120);

/// Below this many columns, only what counts most is shown.
const NARROW: u16 = 70;

/// A task with a size; 80 columns leave 30 of them for its name.
const SIZED: &str = "  {prefix} {wide_msg} {bar:12} {percent:>3}% {binary_total_bytes:>10} {binary_bytes_per_sec:>12}";
const SIZED_NARROW: &str = "  {prefix} {wide_msg} {percent:>3}%";
/// A task without one.
const UNSIZED: &str = "{spinner} {prefix} {wide_msg} {elapsed}";
/// What a command printed last.
const OUTPUT: &str = "  | {wide_msg}";

/// A task that took less than this leaves no line: it was not waited for.
const WORTH_A_LINE: Duration = Duration::from_millis(500);

/// Bars and spinners, several at once.
pub(super) struct Bars {
    all: MultiProgress,
    sized: ProgressStyle,
    unsized_: ProgressStyle,
    shown: Arc<Mutex<Output>>,
}

/// What a running command printed.
struct Output {
    style: ProgressStyle,
    last: LastLine,
    bar: Option<ProgressBar>,
}

impl Bars {
    pub(super) fn new() -> Self {
        let columns = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(80, |s| s.ws_col);
        let narrow = (1..NARROW).contains(&columns);
        let sized = if narrow { SIZED_NARROW } else { SIZED };
        Self {
            all: MultiProgress::new(),
            sized: style(ProgressStyle::default_bar(), sized).progress_chars("=> "),
            unsized_: style(ProgressStyle::default_spinner(), UNSIZED).tick_chars("|/-\\ "),
            shown: Arc::new(Mutex::new(Output {
                style: style(ProgressStyle::default_spinner(), OUTPUT),
                last: LastLine::default(),
                bar: None,
            })),
        }
    }

    fn task(
        &self,
        verb: &'static str,
        what: &str,
        total: Option<u64>,
        is_part: bool,
    ) -> Box<dyn Task> {
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(self.sized.clone()),
            None => ProgressBar::no_length().with_style(self.unsized_.clone()),
        };
        let bar = self
            .all
            .add(bar.with_prefix(verb).with_message(what.to_owned()));
        match total {
            None => bar.enable_steady_tick(TICK),
            // Shown from the beginning, not from the first byte on.
            Some(_) => bar.tick(),
        }
        Box::new(BarTask {
            all: self.all.clone(),
            bar,
            verb,
            is_part,
            shown: Arc::clone(&self.shown),
            begun: Instant::now(),
        })
    }
}

/// A style after `template`, or the plain one if indicatif should not take it.
fn style(plain: ProgressStyle, template: &str) -> ProgressStyle {
    plain.clone().template(template).unwrap_or(plain)
}

fn lock(output: &Mutex<Output>) -> MutexGuard<'_, Output> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

struct BarTask {
    all: MultiProgress,
    bar: ProgressBar,
    verb: &'static str,
    is_part: bool,
    shown: Arc<Mutex<Output>>,
    begun: Instant,
}

impl Progress for Bars {
    fn start(&self, verb: &'static str, what: &str, total: Option<u64>) -> Box<dyn Task> {
        self.task(verb, what, total, false)
    }

    fn part(&self, verb: &'static str, what: &str, total: Option<u64>) -> Box<dyn Task> {
        self.task(verb, what, total, true)
    }

    fn output(&self, piece: &[u8]) {
        let mut output = lock(&self.shown);
        if !output.last.take(piece) {
            return;
        }
        let text = output.last.text();
        let bar = match output.bar.take() {
            Some(bar) => bar,
            None => self
                .all
                .add(ProgressBar::no_length().with_style(output.style.clone())),
        };
        bar.set_message(text);
        output.bar = Some(bar);
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

    fn rename(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// One download of many is no news; a step that took its time is.
    fn finish(self: Box<Self>, outcome: &str) {
        let took = self.begun.elapsed();
        if !self.is_part && (took >= WORTH_A_LINE || !outcome.is_empty()) {
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
        if self.is_part {
            return;
        }
        let mut output = lock(&self.shown);
        output.last = LastLine::default();
        if let Some(bar) = output.bar.take() {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_understood() {
        for template in [SIZED, SIZED_NARROW, UNSIZED, OUTPUT] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
