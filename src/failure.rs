//! What a person sees when something fails.

use std::error::Error;
use std::fmt;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use lunikernel_builder::recipe::Complaint;
use serde::Serialize;

use crate::cli::Context;
use crate::exit::Exit;
use crate::paint;

/// What errors of the libraries have beside their message, so that one conversion
/// serves them all: `impl Explain for SomeError` and `?` does the rest.
pub(crate) trait Explain: Error {
    /// What the user can do about it.
    fn hint(&self) -> Option<String>;

    /// With which code `luni` ends.
    fn exit(&self) -> Exit {
        Exit::Failed
    }

    /// Whether it comes of something that this machine lacks, as `luni doctor` tells.
    fn is_gap(&self) -> bool {
        false
    }

    /// What a command printed before it failed, and where all of it is.
    fn log(&self) -> Option<Log<'_>> {
        None
    }

    /// What is wrong in a file, place by place.
    fn complaints(&self) -> &[Complaint] {
        &[]
    }
}

/// The end of what a command printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log<'a> {
    /// Its last lines.
    pub(crate) tail: &'a [String],
    /// Where all of it is.
    pub(crate) path: Option<&'a Path>,
}

/// Why a verb could not do what was asked.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    log: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_path: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    complaints: Vec<Complaint>,
    #[serde(skip)]
    exit: Exit,
}

impl Failure {
    /// A failure that no library reported.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            log: Vec::new(),
            log_path: None,
            complaints: Vec::new(),
            exit,
        }
    }

    /// The same with a hint.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with another exit code.
    pub(crate) fn with_exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The same with `error` and its sources as causes.
    pub(crate) fn caused_by(mut self, error: &dyn Error) -> Self {
        self.causes.extend(chain(Some(error)));
        self
    }

    /// The same as the cause of `message`: what could not be done for it.
    pub(crate) fn behind(mut self, message: impl Into<String>) -> Self {
        self.causes
            .insert(0, std::mem::replace(&mut self.message, message.into()));
        self
    }

    /// The same about what `packed` has in it, which was unpacked to `folder`: that is gone
    /// when anybody reads this, so nothing in there is named or recommended.
    pub(crate) fn about_packed(mut self, folder: &Path, packed: &Path) -> Self {
        let (folder, packed) = (folder.display().to_string(), packed.display().to_string());
        let is_within = |text: &String| text.contains(&folder);
        if self.hint.as_ref().is_some_and(is_within) {
            self.hint = Some(format!(
                "get {packed} again, or build it again from its recipe"
            ));
        }
        for text in std::iter::once(&mut self.message).chain(&mut self.causes) {
            *text = text.replace(&folder, &packed);
        }
        for complaint in &mut self.complaints {
            complaint.file = complaint.file.replace(&folder, &packed);
        }
        self
    }

    /// With which code `luni` ends.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The message with what caused it, for a table.
    pub(crate) fn in_one_line(&self) -> String {
        let mut line = printable(&self.message);
        for cause in &self.causes {
            line += &format!(": {}", printable(cause));
        }
        line.replace('\n', " ")
    }

    /// Tells the user: people on standard error, and with `--json` programs on
    /// standard output as `{"error":{"message","causes","hint","exit_code"}}`.
    pub(crate) fn report(&self, context: &Context) {
        // There is nobody left to tell where even this cannot be written.
        if context.json() {
            let mut error = serde_json::json!(self);
            error["exit_code"] = self.exit.code().into();
            let _ = writeln!(
                std::io::stdout(),
                "{}",
                serde_json::json!({ "error": error })
            );
        }
        self.tell();
    }

    /// Tells people alone, where programs have been told already.
    pub(crate) fn tell(&self) {
        paint::show(&self.complaints);
        paint::tell(&self.to_string());
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", printable(&self.message))?;
        for cause in &self.causes {
            writeln!(
                f,
                "  caused by: {}",
                printable(cause).replace('\n', "\n    ")
            )?;
        }
        for line in &self.log {
            writeln!(f, "  | {line}")?;
        }
        if let Some(path) = &self.log_path {
            writeln!(f, "  | (the whole log is {})", printable(path))?;
        }
        match &self.hint {
            Some(hint) => writeln!(f, "hint: {}", printable(hint)),
            None => Ok(()),
        }
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        let log = error.log();
        Self {
            log: log.map_or_else(Vec::new, |log| log.tail.to_vec()),
            log_path: log.and_then(|log| Some(log.path?.to_string_lossy().into_owned())),
            message: error.to_string(),
            causes: chain(error.source()),
            hint: hint(&error),
            complaints: error.complaints().to_vec(),
            exit: error.exit(),
        }
    }
}

/// The error's own hint, and where the machine is at fault, who tells more.
fn hint(error: &impl Explain) -> Option<String> {
    const DOCTOR: &str = "`luni doctor` shows what this machine can do";
    match (error.hint(), error.is_gap() || is_full(error)) {
        (Some(hint), true) => Some(format!("{hint}; {DOCTOR}")),
        (None, true) => Some(DOCTOR.to_owned()),
        (hint, false) => hint,
    }
}

/// Whether a disk had no room left.
fn is_full(error: &impl Explain) -> bool {
    std::iter::successors(error.source(), |&error| error.source())
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(|error| {
            matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded
            )
        })
}

/// A text that may quote names from files and servers, without what a terminal would
/// act on.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The messages of `error` and of what caused it. A message that its cause repeats
/// word for word is left out.
fn chain(error: Option<&dyn Error>) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut next = error;
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    texts.dedup();
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|layer| layer as &dyn Error)
        }
    }

    impl Explain for Layer {
        fn hint(&self) -> Option<String> {
            Some("run `luni help`".to_owned())
        }
    }

    #[test]
    fn what_a_terminal_would_act_on_is_shown_escaped() {
        let failure = Failure::new(Exit::Failed, "no file \u{1b}]0;x\u{7}\n  of the two");
        let told = failure.with_hint("\u{9b}2J").to_string();
        assert_eq!(
            told,
            "error: no file \\u{1b}]0;x\\u{7}\n  of the two\nhint: \\u{9b}2J\n"
        );
    }

    #[test]
    fn causes_are_listed_once_and_the_hint_comes_last() {
        let inner = Layer("disk full", None);
        let twice = Layer("disk full", Some(Box::new(inner)));
        let outer = Layer("could not build", Some(Box::new(twice)));
        assert_eq!(
            Failure::from(outer).to_string(),
            "error: could not build\n  caused by: disk full\nhint: run `luni help`\n"
        );
    }
}
