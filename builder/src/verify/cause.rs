//! Naming the cause of a difference, from the variations that it takes and from what
//! stands in the bytes.

use std::fmt;

use serde::Serialize;

use super::compare::{Difference, Found};
use super::evidence::{Sign, signs};
use super::moment::Span;
use super::{Conditions, Variation, hint};
use crate::lock::LINKS;
use crate::sandbox::Facet;

/// Why builds differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The time of the build.
    Timestamp,
    /// The folder on the machine that it was built in.
    BuildPath,
    /// The order in which files, keys or symbols come.
    Ordering,
    /// A number or name that is made up anew each time.
    RandomId,
    /// The language: how texts are sorted and written.
    Locale,
    /// The time zone.
    TimeZone,
    /// The user.
    User,
    /// The machine's name.
    HostName,
    /// The number of processors, or what runs in parallel.
    Cpus,
    /// Where programs and data lie in memory, or what was left there.
    Addresses,
    /// The number of a process.
    ProcessId,
    /// The number of a file or a device.
    Inode,
    /// The kernel.
    Kernel,
    /// The mask for modes of new files.
    Umask,
    /// The home folder.
    Home,
    /// Whether there is a terminal.
    Terminal,
    /// Other variables of the environment.
    Environment,
    /// The kind of sandbox.
    Sandbox,
    /// It cannot be told.
    Unknown,
}

/// How sure a cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// A trial showed it, or the very values stand in the bytes of both.
    Certain,
    /// The bytes look like it.
    Likely,
    /// Nothing speaks for anything.
    None,
}

/// Why builds differ, and what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// What kind of cause it is.
    pub class: Class,
    /// How sure that is.
    pub confidence: Confidence,
    /// The variations that it takes; none where builds differ without any.
    pub guilty: Vec<Variation>,
    /// What speaks for it, in sentences without a full stop.
    pub evidence: Vec<String>,
    /// What the recipe's author can do about it.
    pub hint: String,
    /// The difference that it makes on its own.
    pub difference: Difference,
}

/// What is known of one of the two that differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) conditions: &'a Conditions,
    pub(super) span: Span,
}

/// What trials showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown<'a> {
    /// Nothing: there were none, or they led nowhere.
    Nothing,
    /// It takes these variations.
    Guilty(&'a [Variation]),
    /// It differs without any.
    ByItself {
        /// But not with one processor.
        unless_serial: bool,
    },
}

/// The cause of `difference`.
pub(super) fn judge(
    difference: Difference,
    left: Side<'_>,
    right: Side<'_>,
    shown: Shown<'_>,
) -> Cause {
    let signs = signs(&difference, left, right);
    let (class, confidence) = match shown {
        Shown::Guilty(guilty) => (of_guilty(guilty, &signs), Confidence::Certain),
        Shown::ByItself { unless_serial } => by_itself(&signs, unless_serial),
        Shown::Nothing => by_signs(&signs),
    };
    let mut evidence = Vec::new();
    match shown {
        Shown::Guilty([one]) => evidence.push(format!("it is enough to vary `{one}`")),
        Shown::Guilty(several) => {
            let names: Vec<String> = several.iter().map(|one| format!("`{one}`")).collect();
            let names = names.join(", ");
            evidence.push(format!("it takes all of {names} varied together"));
        }
        Shown::ByItself { unless_serial } => {
            evidence.push("two builds differ with nothing varied".to_owned());
            if unless_serial {
                evidence.push("two builds on one processor are the same".to_owned());
            }
        }
        Shown::Nothing => {}
    }
    let of_class = signs.iter().filter(|sign| sign.class == class);
    evidence.extend(of_class.map(|sign| sign.text.clone()));
    let guilty = match shown {
        Shown::Guilty(guilty) => guilty.to_vec(),
        _ => Vec::new(),
    };
    Cause {
        class,
        confidence,
        guilty,
        evidence,
        hint: hint::hint(class, &difference),
        difference,
    }
}

/// Where several are guilty together, the one that shows in the bytes. The environment
/// lies on the stack, so that each change of it moves what comes after.
fn of_guilty(guilty: &[Variation], signs: &[Sign]) -> Class {
    let classes: Vec<Class> = guilty.iter().map(|one| class_of(*one)).collect();
    let mut shown = signs.iter().filter(|sign| classes.contains(&sign.class));
    if let Some(sign) = shown.next() {
        return sign.class;
    }
    let moved = signs.iter().any(|sign| sign.class == Class::Addresses);
    match classes.first() {
        Some(_) if moved => Class::Addresses,
        Some(class) => *class,
        None => Class::Unknown,
    }
}

impl Cause {
    /// Takes in another cause of the same class.
    pub(super) fn join(&mut self, other: Self) {
        self.guilty.extend(other.guilty);
        for evidence in other.evidence {
            if !self.evidence.contains(&evidence) {
                self.evidence.push(evidence);
            }
        }
    }
}

fn by_itself(signs: &[Sign], unless_serial: bool) -> (Class, Confidence) {
    let strong = |class| signs.iter().any(|sign| sign.class == class && sign.strong);
    let any = |class| signs.iter().any(|sign| sign.class == class);
    if strong(Class::Timestamp) {
        return (Class::Timestamp, Confidence::Certain);
    }
    if unless_serial {
        return (Class::Cpus, Confidence::Certain);
    }
    if strong(Class::RandomId) {
        return (Class::RandomId, Confidence::Certain);
    }
    for class in [Class::Timestamp, Class::Ordering, Class::Addresses] {
        if any(class) {
            return (class, Confidence::Likely);
        }
    }
    (Class::RandomId, Confidence::Likely)
}

fn by_signs(signs: &[Sign]) -> (Class, Confidence) {
    match signs.iter().find(|sign| sign.strong).or(signs.first()) {
        Some(sign) => (sign.class, Confidence::Likely),
        None => (Class::Unknown, Confidence::None),
    }
}

/// What kind of cause a variation stands for.
pub(super) fn class_of(variation: Variation) -> Class {
    match variation {
        Variation::Around(facet) => match facet {
            Facet::HostName | Facet::DomainName => Class::HostName,
            Facet::UserId | Facet::UserName => Class::User,
            Facet::Umask => Class::Umask,
            Facet::TimeZone => Class::TimeZone,
            Facet::Locale => Class::Locale,
            Facet::Home => Class::Home,
            Facet::PathOrder | Facet::Environment => Class::Environment,
            Facet::Cpus => Class::Cpus,
            Facet::EntryOrder => Class::Ordering,
            Facet::Inodes => Class::Inode,
            Facet::ProcessIds => Class::ProcessId,
            Facet::Clock => Class::Timestamp,
            Facet::KernelRelease => Class::Kernel,
            Facet::Terminal => Class::Terminal,
            Facet::Addresses => Class::Addresses,
        },
        Variation::HostPath => Class::BuildPath,
        Variation::Sandbox => Class::Sandbox,
        Variation::Cache | Variation::Arrival => Class::Unknown,
    }
}

/// Those of `varied` that the bytes speak for, the most telling first: a trial with
/// one of them alone often saves all others.
pub(super) fn suspects(
    difference: &Difference,
    left: Side<'_>,
    right: Side<'_>,
    varied: &[Variation],
) -> Vec<Variation> {
    let signs = signs(difference, left, right);
    let mut suspects: Vec<Variation> = Vec::new();
    for strong in [true, false] {
        for sign in signs.iter().filter(|sign| sign.strong == strong) {
            let of_class = varied.iter().filter(|one| match sign.variation {
                Some(variation) => **one == variation,
                None => class_of(**one) == sign.class,
            });
            for one in of_class {
                if !suspects.contains(one) {
                    suspects.push(*one);
                }
            }
        }
    }
    suspects
}

/// The cause where all rounds agree with one another, and not with what was expected.
pub(super) fn of_expected(difference: Difference) -> Cause {
    let of_inputs = matches!(difference.entry.as_str(), "recipe.yaml" | "recipe.lock")
        || difference.entry.starts_with("files/")
        || difference.entry == LINKS;
    let hint = if of_inputs {
        "it was made from another recipe or lock: verify the Lunikernel itself, which carries both"
    } else if matches!(&difference.found, Found::Value { pointer, .. } if pointer.contains("luni"))
    {
        "it was made by another version of luni: build it with that one"
    } else {
        "it was made by another version of luni, on a machine that gave a step something else, or \
         changed afterwards: check it with `luni inspect`"
    };
    Cause {
        class: Class::Unknown,
        confidence: Confidence::None,
        guilty: Vec::new(),
        evidence: vec!["all rounds agree with one another".to_owned()],
        hint: hint.to_owned(),
        difference,
    }
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Timestamp,
        Self::BuildPath,
        Self::Ordering,
        Self::RandomId,
        Self::Locale,
        Self::TimeZone,
        Self::User,
        Self::HostName,
        Self::Cpus,
        Self::Addresses,
        Self::ProcessId,
        Self::Inode,
        Self::Kernel,
        Self::Umask,
        Self::Home,
        Self::Terminal,
        Self::Environment,
        Self::Sandbox,
        Self::Unknown,
    ];

    /// What it is called in `--json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Timestamp => "timestamp",
            Self::BuildPath => "build-path",
            Self::Ordering => "ordering",
            Self::RandomId => "random-id",
            Self::Locale => "locale",
            Self::TimeZone => "time-zone",
            Self::User => "user",
            Self::HostName => "host-name",
            Self::Cpus => "cpus",
            Self::Addresses => "addresses",
            Self::ProcessId => "process-id",
            Self::Inode => "inode",
            Self::Kernel => "kernel",
            Self::Umask => "umask",
            Self::Home => "home",
            Self::Terminal => "terminal",
            Self::Environment => "environment",
            Self::Sandbox => "sandbox",
            Self::Unknown => "unknown",
        }
    }

    /// What it is, for a person, such that "the result depends on" can stand before it.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Timestamp => "the time of the build",
            Self::BuildPath => "the folder on the machine that it is built in",
            Self::Ordering => "an order that is not fixed",
            Self::RandomId => "something that is made up anew each time",
            Self::Locale => "the locale",
            Self::TimeZone => "the time zone",
            Self::User => "the user",
            Self::HostName => "the name of the machine",
            Self::Cpus => "the number of processors, or on what runs in parallel",
            Self::Addresses => "addresses in memory, or on what was left there",
            Self::ProcessId => "the number of a process",
            Self::Inode => "the number of a file or device",
            Self::Kernel => "the kernel of the machine",
            Self::Umask => "the umask",
            Self::Home => "the home folder",
            Self::Terminal => "whether there is a terminal",
            Self::Environment => "variables of the environment",
            Self::Sandbox => "the kind of sandbox",
            Self::Unknown => "something that could not be found out",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certain => "certain",
            Self::Likely => "likely",
            Self::None => "not known",
        })
    }
}

#[cfg(test)]
mod tests;
