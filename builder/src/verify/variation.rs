//! What differs from one round to the next.

use serde::Serialize;

use crate::sandbox::{EntryOrder, Surroundings};

/// Something that an honest build must not depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variation {
    /// The host name.
    HostName,
    /// The file-mode creation mask.
    Umask,
    /// The time zone.
    TimeZone,
    /// The locale.
    Locale,
    /// How many processors there are.
    Cpus,
    /// In which order folders list their entries.
    EntryOrder,
}

impl Variation {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::HostName,
        Self::Umask,
        Self::TimeZone,
        Self::Locale,
        Self::Cpus,
        Self::EntryOrder,
    ];

    /// What it is called on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HostName => "host-name",
            Self::Umask => "umask",
            Self::TimeZone => "time-zone",
            Self::Locale => "locale",
            Self::Cpus => "cpus",
            Self::EntryOrder => "entry-order",
        }
    }
}

/// The surroundings of round `number`, counted from 0, with `varied` set to something
/// else than in every other round nearby.
#[must_use]
pub fn surroundings(number: usize, varied: &[Variation]) -> Surroundings {
    let mut around = Surroundings {
        entry_order: EntryOrder::Forward,
        ..Surroundings::default()
    };
    if number == 0 {
        return around;
    }
    let odd = number % 2 == 1;
    for variation in varied {
        match variation {
            Variation::HostName => around.hostname = format!("elsewhere-{number}"),
            Variation::Umask => around.umask = if odd { 0o002 } else { 0o077 },
            // The two ends of the world: 26 hours apart, so the date always differs.
            Variation::TimeZone => {
                let zone = if odd { "<+14>-14" } else { "<-12>12" };
                zone.clone_into(&mut around.timezone);
            }
            Variation::Locale => {
                let locale = if odd { "C" } else { "POSIX" };
                locale.clone_into(&mut around.locale);
            }
            Variation::Cpus => around.cpus = Some(1),
            Variation::EntryOrder => {
                around.entry_order = if odd {
                    EntryOrder::Reverse
                } else {
                    EntryOrder::Forward
                };
            }
        }
    }
    around
}
