//! Watching a machine until what is expected of it has come.

use std::collections::VecDeque;
use std::io::Read;
use std::process::ChildStdout;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use super::console::{Lines, is_grub_asking, is_panic};
use super::running::Running;
use super::{Accel, BootError, BootEvent, BootOutcome, Forward, OnEvent, Options, go_on, http};

/// How many lines an error shows.
const LAST_LINES: usize = 15;

/// How many lines wait to be shown; beyond that the guest waits.
const BACKLOG: usize = 256;

enum News {
    Bytes(Vec<u8>),
    Line(String),
    Partial(String),
    ConsoleClosed,
    Page(String),
    NoPage(String),
}

/// What is known of a machine that runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watched<'a> {
    pub(super) accel: Accel,
    pub(super) forwards: &'a [Forward],
    /// The exit status of its program when the guest has ended well.
    pub(super) good_end: i32,
    /// Whether GRUB starts what runs.
    pub(super) by_grub: bool,
}

/// Follows a machine that runs. However this ends, the machine is gone then.
pub(super) fn watch(
    (mut running, console): (Running, ChildStdout),
    watched: Watched<'_>,
    options: &Options,
    on_event: &mut OnEvent<'_>,
) -> Result<BootOutcome, BootError> {
    let stop = AtomicBool::new(false);
    let (news, incoming) = sync_channel(BACKLOG);
    std::thread::scope(|scope| {
        let console_news = news.clone();
        let typed = options.is_typed();
        scope.spawn(move || read_console(console, typed, &console_news));
        let mut watcher = Watcher {
            begun: Instant::now(),
            watched,
            options,
            line: None,
            unshown: None,
            page: None,
            page_failure: None,
            last: VecDeque::new(),
        };
        let result = watcher.follow(&mut running, &incoming, on_event, |watcher| {
            watcher.ask_for_page(scope, &news, &stop);
        });
        // The threads end when nobody listens and nothing answers.
        stop.store(true, Ordering::Relaxed);
        drop(running);
        drop(incoming);
        result
    })
}

fn read_console(mut console: ChildStdout, typed: bool, news: &SyncSender<News>) {
    let mut lines = Lines::default();
    let mut bytes = vec![0; 16 << 10];
    let mut listened_to = true;
    while listened_to {
        let read = match console.read(&mut bytes) {
            Ok(read) if read > 0 => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            _ => break,
        };
        let piece = bytes.get(..read).unwrap_or_default();
        if typed {
            listened_to &= news.send(News::Bytes(piece.to_vec())).is_ok();
        }
        lines.feed(piece, |line| {
            listened_to &= news.send(News::Line(line)).is_ok();
        });
        if let Some(partial) = lines.partial() {
            listened_to &= news.send(News::Partial(partial)).is_ok();
        }
    }
    if let Some(partial) = lines.partial() {
        let _ = news.send(News::Line(partial));
    }
    let _ = news.send(News::ConsoleClosed);
}

struct Watcher<'a> {
    begun: Instant,
    watched: Watched<'a>,
    options: &'a Options,
    line: Option<String>,
    /// What was expected came in a line that is not complete, and was not shown yet.
    unshown: Option<String>,
    page: Option<String>,
    page_failure: Option<String>,
    last: VecDeque<String>,
}

impl<'env> Watcher<'env> {
    fn follow(
        &mut self,
        running: &mut Running,
        incoming: &Receiver<News>,
        on_event: &mut OnEvent<'_>,
        ask_for_page: impl Fn(&Self),
    ) -> Result<BootOutcome, BootError> {
        if self.options.expect.is_none() {
            ask_for_page(self);
        }
        loop {
            match self.next(incoming)? {
                News::Bytes(bytes) => go_on(on_event(BootEvent::Bytes(&bytes)))?,
                News::Line(line) => {
                    go_on(on_event(BootEvent::Line(&line)))?;
                    self.unshown = None;
                    let came = self.is_expected(&line);
                    if !came && is_panic(&line) {
                        let last = self.last();
                        return Err(BootError::Panic { line, last });
                    }
                    if !line.trim().is_empty() {
                        self.last.truncate(LAST_LINES - 1);
                        self.last.push_front(line.clone());
                    }
                    if came {
                        self.line = Some(line);
                        ask_for_page(self);
                    }
                }
                News::Partial(line) if self.is_expected(&line) => {
                    self.unshown = Some(line.clone());
                    self.line = Some(line);
                    ask_for_page(self);
                }
                News::Partial(line) if self.watched.by_grub && is_grub_asking(&line) => {
                    let last = self.last();
                    return Err(BootError::Loader { last });
                }
                News::Partial(_) => {}
                News::Page(page) => self.page = Some(page),
                News::NoPage(why) => self.page_failure = Some(why),
                News::ConsoleClosed => return self.ended(running),
            }
            if self.options.expects_something()
                && self.line.is_some() == self.options.expect.is_some()
                && self.page.is_some() == self.options.http.is_some()
            {
                if let Some(line) = self.unshown.take() {
                    go_on(on_event(BootEvent::Line(&line)))?;
                }
                return Ok(self.outcome());
            }
        }
    }

    /// The next thing that happens. The deadline comes first, so that a guest that
    /// never stops talking does not get longer than others.
    fn next(&self, incoming: &Receiver<News>) -> Result<News, BootError> {
        let Some(timeout) = self.options.timeout else {
            return Ok(incoming.recv().unwrap_or(News::ConsoleClosed));
        };
        let left = timeout.saturating_sub(self.begun.elapsed());
        let news = match left {
            Duration::ZERO => Err(RecvTimeoutError::Timeout),
            left => incoming.recv_timeout(left),
        };
        match news {
            Ok(news) => Ok(news),
            Err(RecvTimeoutError::Disconnected) => Ok(News::ConsoleClosed),
            Err(RecvTimeoutError::Timeout) => Err(BootError::Deadline {
                timeout,
                awaited: self.awaited(),
                last: self.last(),
            }),
        }
    }

    fn is_expected(&self, line: &str) -> bool {
        let expected = self.options.expect.as_deref();
        self.line.is_none() && expected.is_some_and(|text| line.contains(text))
    }

    fn ask_for_page<'scope>(
        &self,
        scope: &'scope Scope<'scope, 'env>,
        news: &SyncSender<News>,
        stop: &'env AtomicBool,
    ) {
        let Some(test) = &self.options.http else {
            return;
        };
        let Some(forward) = self
            .watched
            .forwards
            .iter()
            .find(|it| it.guest == test.port)
        else {
            return;
        };
        let (port, news) = (forward.host, news.clone());
        scope.spawn(move || {
            let page = http::fetch(port, test, stop, |why| {
                let _ = news.send(News::NoPage(why));
            });
            if let Some(page) = page {
                let _ = news.send(News::Page(page));
            }
        });
    }

    fn ended(&self, running: &mut Running) -> Result<BootOutcome, BootError> {
        let (status, message) = running.wait()?;
        if status.code() != Some(self.watched.good_end) {
            // What QEMU says where a port cannot be had: net/slirp.c, slirp_hostfwd.
            if let Some((_, rule)) = message.split_once("Could not set up host forwarding rule")
                && let Some(taken) = self
                    .watched
                    .forwards
                    .iter()
                    .find(|forward| rule.contains(&format!(":{}-", forward.host)))
            {
                return Err(BootError::PortTaken { port: taken.host });
            }
            return Err(BootError::Qemu {
                status: status.to_string(),
                message,
            });
        }
        if self.options.expects_something() {
            return Err(BootError::Ended {
                awaited: self.awaited(),
                last: self.last(),
            });
        }
        Ok(self.outcome())
    }

    fn outcome(&self) -> BootOutcome {
        BootOutcome {
            accel: self.watched.accel,
            took: self.begun.elapsed(),
            line: self.line.clone(),
            page: self.page.clone(),
        }
    }

    fn awaited(&self) -> String {
        match (&self.options.expect, &self.options.http) {
            (Some(text), _) if self.line.is_none() => format!("`{text}` came on the console"),
            (_, Some(test)) => {
                let failure = self.page_failure.as_deref().unwrap_or("nothing answered");
                format!(
                    "the page {} came from port {} ({failure})",
                    test.path, test.port
                )
            }
            _ => "the guest ended".to_owned(),
        }
    }

    fn last(&self) -> Vec<String> {
        self.last.iter().rev().cloned().collect()
    }
}
