//! What differs from one round to the next.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::sandbox::{EntryOrder, Facet, PathOrder, Surroundings, UserId};

/// Something that an honest build must not depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variation {
    /// Something around the commands that steps run.
    Around(Facet),
    /// Where on this machine the build is made.
    HostPath,
    /// Whether packages and toolchains were unpacked for an earlier build.
    Cache,
    /// In which order the inputs came into the cache.
    Arrival,
    /// Which sandbox runs the steps.
    Sandbox,
}

impl Variation {
    /// All of them, in the order in which reports have them.
    pub fn all() -> impl Iterator<Item = Self> {
        let rest = [Self::HostPath, Self::Cache, Self::Arrival, Self::Sandbox];
        Facet::ALL.into_iter().map(Self::Around).chain(rest)
    }

    /// What it is called on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Around(facet) => facet.name(),
            Self::HostPath => "host-path",
            Self::Cache => "cache",
            Self::Arrival => "arrival",
            Self::Sandbox => "sandbox",
        }
    }
}

impl fmt::Display for Variation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Variation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Under which conditions a round is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conditions {
    /// What is around the commands.
    pub surroundings: Surroundings,
    /// How many folders deeper than usual the build is made.
    pub depth: u32,
    /// Whether it is built in a cache in which it was built before. What steps made
    /// and the artefact are made anew all the same.
    pub warm: bool,
    /// Whether the inputs come in reverse order.
    pub reversed: bool,
    /// Which of the sandboxes that there are runs the steps, counted from 0.
    pub sandbox: usize,
}

impl Conditions {
    /// Those that everything else is compared with: what can be held fast is.
    #[must_use]
    pub fn base() -> Self {
        Self {
            surroundings: Surroundings {
                entry_order: EntryOrder::Forward,
                ..Surroundings::default()
            },
            depth: 0,
            warm: false,
            reversed: false,
            sandbox: 0,
        }
    }

    /// Those of round `number`, counted from 0: in round 0 the base, and in others
    /// `varied` are set to something else than there and in the round before.
    #[must_use]
    pub fn of_round(number: usize, varied: &[Variation]) -> Self {
        let mut conditions = Self::base();
        if number > 0 {
            for variation in varied {
                conditions.vary(*variation, number);
            }
        }
        conditions
    }

    fn vary(&mut self, variation: Variation, number: usize) {
        let odd = number % 2 == 1;
        match variation {
            Variation::Around(facet) => vary(&mut self.surroundings, facet, number, odd),
            Variation::HostPath => self.depth = if odd { 3 } else { 7 },
            Variation::Cache => self.warm = odd,
            Variation::Arrival => self.reversed = odd,
            Variation::Sandbox => self.sandbox = number,
        }
    }

    /// What `variation` is set to, for a report.
    #[must_use]
    pub fn value(&self, variation: Variation) -> String {
        match variation {
            Variation::Around(facet) => value(&self.surroundings, facet),
            Variation::HostPath => match self.depth {
                0 => "as usual".to_owned(),
                depth => format!("{depth} folders deeper"),
            },
            Variation::Cache => if self.warm { "warm" } else { "cold" }.to_owned(),
            Variation::Arrival => if self.reversed { "reversed" } else { "sorted" }.to_owned(),
            Variation::Sandbox => format!("number {}", self.sandbox + 1),
        }
    }
}

/// Years from now, with a leap day in between, and not at the same time of day.
const YEARS_AHEAD: Duration = Duration::from_secs((5 * 365 + 3) * 86_400 + 12_345);

fn vary(around: &mut Surroundings, facet: Facet, number: usize, odd: bool) {
    let count = u32::try_from(number).unwrap_or(u32::MAX);
    let either = |one: &str, other: &str| if odd { one } else { other }.to_owned();
    match facet {
        Facet::HostName => around.hostname = format!("elsewhere-{number}"),
        Facet::DomainName => around.domainname = format!("domain-{number}.example"),
        Facet::UserId => {
            around.user_id = if odd { UserId::Other } else { UserId::Usual };
        }
        Facet::UserName => around.user_name = Some(format!("someone-{number}")),
        Facet::Umask => around.umask = if odd { 0o002 } else { 0o077 },
        // The two ends of the world: 26 hours apart, so the date always differs.
        Facet::TimeZone => around.timezone = either("<+14>-14", "<-12>12"),
        // The first sorts as dictionaries do, where the step's root has it.
        Facet::Locale => around.locale = either("et_EE.UTF-8", "C"),
        Facet::Home => around.home = format!("/home/someone-{number}"),
        Facet::PathOrder => {
            around.path_order = if odd {
                PathOrder::Reversed
            } else {
                PathOrder::AsPlanned
            };
        }
        Facet::Cpus => around.cpus = Some(1),
        Facet::EntryOrder => {
            around.entry_order = if odd {
                EntryOrder::Reverse
            } else {
                EntryOrder::Forward
            };
        }
        Facet::Inodes => around.inodes_used = count.saturating_mul(97),
        Facet::ProcessIds => around.process_ids_used = count.saturating_mul(41),
        Facet::Clock => around.clock_ahead = YEARS_AHEAD.saturating_mul(count),
        Facet::KernelRelease => around.kernel_release = Some(format!("9.{number}.0-elsewhere")),
        Facet::Terminal => around.terminal = odd,
        Facet::Addresses => around.random_addresses = true,
        Facet::Environment => around.noise = count.saturating_add(2),
    }
}

fn value(around: &Surroundings, facet: Facet) -> String {
    match facet {
        Facet::HostName => around.hostname.clone(),
        Facet::DomainName => around.domainname.clone(),
        Facet::UserId => match around.user_id {
            UserId::Usual => "the usual one".to_owned(),
            UserId::Other => "another one".to_owned(),
        },
        Facet::UserName => around
            .user_name
            .clone()
            .unwrap_or_else(|| "none".to_owned()),
        Facet::Umask => format!("{:03o}", around.umask),
        Facet::TimeZone => around.timezone.clone(),
        Facet::Locale => around.locale.clone(),
        Facet::Home => around.home.clone(),
        Facet::PathOrder => match around.path_order {
            PathOrder::AsPlanned => "as planned".to_owned(),
            PathOrder::Reversed => "reversed".to_owned(),
        },
        Facet::Cpus => around
            .cpus
            .map_or_else(|| "all".to_owned(), |count| count.to_string()),
        Facet::EntryOrder => match around.entry_order {
            EntryOrder::AsCreated => "as created".to_owned(),
            EntryOrder::Forward => "forward".to_owned(),
            EntryOrder::Reverse => "reverse".to_owned(),
        },
        Facet::Inodes => format!("after {} others", around.inodes_used),
        Facet::ProcessIds => format!("after {} others", around.process_ids_used),
        Facet::Clock => match around.clock_ahead.as_secs() {
            0 => "now".to_owned(),
            seconds => format!("{seconds} s ahead"),
        },
        Facet::KernelRelease => around
            .kernel_release
            .clone()
            .unwrap_or_else(|| "the real one".to_owned()),
        Facet::Terminal => if around.terminal {
            "a terminal"
        } else {
            "none"
        }
        .to_owned(),
        Facet::Addresses => if around.random_addresses {
            "random"
        } else {
            "fixed"
        }
        .to_owned(),
        Facet::Environment => format!("{} more variables", around.noise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variation_changes_its_own_value_and_no_other() {
        let base = Conditions::base();
        for variation in Variation::all() {
            let varied = Conditions::of_round(1, &[variation]);
            for other in Variation::all() {
                let same = varied.value(other) == base.value(other);
                assert_eq!(same, other != variation, "{variation} and {other}");
            }
        }
    }

    #[test]
    fn rounds_that_follow_one_another_differ_in_everything() {
        let all: Vec<Variation> = Variation::all().collect();
        for number in 0..4 {
            let (one, next) = (
                Conditions::of_round(number, &all),
                Conditions::of_round(number + 1, &all),
            );
            for variation in &all {
                // There is one processor in every round but the first, and random
                // addresses are others each time.
                let as_before = [Facet::Cpus, Facet::Addresses].map(Variation::Around);
                if number == 0 || !as_before.contains(variation) {
                    assert_ne!(one.value(*variation), next.value(*variation), "{variation}");
                }
            }
        }
    }

    #[test]
    fn rounds_go_through_all_sandboxes() {
        let sandbox = |number| Conditions::of_round(number, &[Variation::Sandbox]).sandbox;
        assert_eq!([0, 1, 2, 3].map(sandbox), [0, 1, 2, 3]);
    }

    #[test]
    fn without_variations_every_round_is_the_base() {
        assert_eq!(Conditions::of_round(3, &[]), Conditions::base());
    }
}
