//! What an honest command must not depend on.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is around a command without being part of its action, and so not of its
/// digest: what `verify-reproducibility` varies. The default is what every build has.
///
/// Each field is one [`Facet`]. A sandbox that cannot provide what a field asks for
/// runs the command all the same, and says so in [`super::Outcome::unable`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// Host name inside.
    pub hostname: String,
    /// Name of the NIS domain inside, as uname(2) returns it.
    pub domainname: String,
    /// Whose identity a command has outside.
    pub user_id: UserId,
    /// `USER` and `LOGNAME`, unless the action sets them; by default there are none.
    pub user_name: Option<String>,
    /// File-mode creation mask.
    pub umask: u32,
    /// `TZ`, unless the action sets one.
    pub timezone: String,
    /// `LANG` and `LC_ALL`, unless the action sets them.
    pub locale: String,
    /// `HOME`, unless the action sets one: an empty folder with that absolute path.
    pub home: String,
    /// In which order `PATH` names its folders, unless the action sets one.
    pub path_order: PathOrder,
    /// How many processors it may use; `None` for all.
    pub cpus: Option<usize>,
    /// In which order folders in `/build` list their entries.
    pub entry_order: EntryOrder,
    /// How many inode and device numbers are used up before `/build` is filled, so that
    /// its files get others.
    pub inodes_used: u32,
    /// How many process numbers are used up before the command starts.
    pub process_ids_used: u32,
    /// How far ahead the clock is that a command reads. Time stamps of files that it
    /// makes are not changed.
    pub clock_ahead: Duration,
    /// The kernel's release as uname(2) and `/proc` say it; `None` for the real one.
    pub kernel_release: Option<String>,
    /// Whether output goes to a terminal rather than into a pipe.
    pub terminal: bool,
    /// Whether programs and their memory lie at random addresses.
    pub random_addresses: bool,
    /// How many variables are in the environment that mean nothing.
    pub noise: u32,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            hostname: "lunikernel".to_owned(),
            domainname: "(none)".to_owned(),
            user_id: UserId::Usual,
            user_name: None,
            umask: 0o022,
            timezone: "UTC".to_owned(),
            locale: "C.UTF-8".to_owned(),
            home: "/root".to_owned(),
            path_order: PathOrder::AsPlanned,
            cpus: None,
            entry_order: EntryOrder::AsCreated,
            inodes_used: 0,
            process_ids_used: 0,
            clock_ahead: Duration::ZERO,
            kernel_release: None,
            terminal: false,
            random_addresses: false,
            noise: 0,
        }
    }
}

impl Surroundings {
    /// The same, with the usual of each of `facets`, which are those that variables
    /// decide: see [`super::fixed_by`].
    #[must_use]
    pub fn with_usual(&self, facets: &[Facet]) -> Self {
        let usual = Self::default();
        let mut around = self.clone();
        for facet in facets {
            match facet {
                Facet::UserName => around.user_name.clone_from(&usual.user_name),
                Facet::TimeZone => around.timezone.clone_from(&usual.timezone),
                Facet::Locale => around.locale.clone_from(&usual.locale),
                Facet::Home => around.home.clone_from(&usual.home),
                Facet::PathOrder => around.path_order = usual.path_order,
                _ => {}
            }
        }
        around
    }
}

/// Whose identity a command has outside; inside it is always user 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserId {
    /// That of whoever started it, or for root one that owns nothing.
    Usual,
    /// Another one, which only root can give.
    Other,
}

/// In which order `PATH` names its folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathOrder {
    /// As the plan has it.
    AsPlanned,
    /// The last one first.
    Reversed,
}

/// In which order folders list their entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryOrder {
    /// As the file system has it after creating them in sorted order.
    AsCreated,
    /// As a memory file system has it, created in the order of their names.
    Forward,
    /// As a memory file system has it, created in the reverse order of their names.
    Reverse,
}

/// One of the things that [`Surroundings`] are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Facet {
    /// [`Surroundings::hostname`]
    HostName,
    /// [`Surroundings::domainname`]
    DomainName,
    /// [`Surroundings::user_id`]
    UserId,
    /// [`Surroundings::user_name`]
    UserName,
    /// [`Surroundings::umask`]
    Umask,
    /// [`Surroundings::timezone`]
    TimeZone,
    /// [`Surroundings::locale`]
    Locale,
    /// [`Surroundings::home`]
    Home,
    /// [`Surroundings::path_order`]
    PathOrder,
    /// [`Surroundings::cpus`]
    Cpus,
    /// [`Surroundings::entry_order`]
    EntryOrder,
    /// [`Surroundings::inodes_used`]
    Inodes,
    /// [`Surroundings::process_ids_used`]
    ProcessIds,
    /// [`Surroundings::clock_ahead`]
    Clock,
    /// [`Surroundings::kernel_release`]
    KernelRelease,
    /// [`Surroundings::terminal`]
    Terminal,
    /// [`Surroundings::random_addresses`]
    Addresses,
    /// [`Surroundings::noise`]
    Environment,
}

impl Facet {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::HostName,
        Self::DomainName,
        Self::UserId,
        Self::UserName,
        Self::Umask,
        Self::TimeZone,
        Self::Locale,
        Self::Home,
        Self::PathOrder,
        Self::Cpus,
        Self::EntryOrder,
        Self::Inodes,
        Self::ProcessIds,
        Self::Clock,
        Self::KernelRelease,
        Self::Terminal,
        Self::Addresses,
        Self::Environment,
    ];

    /// What it is called on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HostName => "host-name",
            Self::DomainName => "domain-name",
            Self::UserId => "user-id",
            Self::UserName => "user-name",
            Self::Umask => "umask",
            Self::TimeZone => "time-zone",
            Self::Locale => "locale",
            Self::Home => "home",
            Self::PathOrder => "path-order",
            Self::Cpus => "cpus",
            Self::EntryOrder => "entry-order",
            Self::Inodes => "inodes",
            Self::ProcessIds => "process-ids",
            Self::Clock => "clock",
            Self::KernelRelease => "kernel-release",
            Self::Terminal => "terminal",
            Self::Addresses => "addresses",
            Self::Environment => "environment",
        }
    }
}

impl fmt::Display for Facet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something that a command was to have around it and did not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unable {
    /// What.
    pub facet: Facet,
    /// Why not, for a person.
    pub why: String,
}
