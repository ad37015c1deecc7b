//! The one way of texts to what shows progress: names of tasks and notes quote addresses,
//! paths and answers that somebody else wrote.

use lunikernel_cache::{Progress, Task};

use crate::paint::printable;

/// Shows progress by what is in it, without what a terminal would act on.
#[derive(Debug)]
pub(super) struct Printable<P>(pub(super) P);

struct PrintableTask(Box<dyn Task>);

impl<P: Progress> Progress for Printable<P> {
    fn start(&self, verb: &'static str, what: &str, total: Option<u64>) -> Box<dyn Task> {
        Box::new(PrintableTask(self.0.start(verb, &line(what), total)))
    }

    fn part(&self, verb: &'static str, what: &str, total: Option<u64>) -> Box<dyn Task> {
        Box::new(PrintableTask(self.0.part(verb, &line(what), total)))
    }

    /// What is shown of it loses its control characters later: a sequence may come in two
    /// pieces.
    fn output(&self, piece: &[u8]) {
        self.0.output(piece);
    }

    fn note(&self, text: &str) {
        self.0.note(&printable(text));
    }
}

impl Task for PrintableTask {
    fn advance(&self, bytes: u64) {
        self.0.advance(bytes);
    }

    fn rename(&self, what: &str) {
        self.0.rename(&line(what));
    }

    fn finish(self: Box<Self>, outcome: &str) {
        self.0.finish(&line(outcome));
    }
}

/// A printable text on one line.
fn line(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl Heard {
        fn hear(&self, text: &str) -> Box<dyn Task> {
            self.0.lock().unwrap().push(text.to_owned());
            Box::new(self.clone())
        }
    }

    impl Progress for Heard {
        fn start(&self, _: &'static str, what: &str, _: Option<u64>) -> Box<dyn Task> {
            self.hear(what)
        }
        fn part(&self, _: &'static str, what: &str, _: Option<u64>) -> Box<dyn Task> {
            self.hear(what)
        }
        fn note(&self, text: &str) {
            self.hear(text);
        }
    }

    impl Task for Heard {
        fn advance(&self, _: u64) {}
        fn rename(&self, what: &str) {
            self.hear(what);
        }
        fn finish(self: Box<Self>, outcome: &str) {
            self.hear(outcome);
        }
    }

    #[test]
    fn no_text_reaches_the_terminal_as_somebody_else_wrote_it() {
        let heard = Heard::default();
        let shown = Printable(heard.clone());
        let text = "x\u{1b}]0;title\u{7}\ny";
        let task = shown.start("fetching", text, None);
        task.rename(text);
        task.finish(text);
        shown.part("fetching", text, Some(1));
        shown.note(text);
        let [most @ .., note] = &heard.0.lock().unwrap()[..] else {
            panic!("nothing was shown");
        };
        assert_eq!(most, ["x\\u{1b}]0;title\\u{7} y"; 4]);
        assert_eq!(note, "x\\u{1b}]0;title\\u{7}\ny");
    }
}
