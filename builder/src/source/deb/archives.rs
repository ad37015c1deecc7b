//! The archives of this machine, as they were found during one run.

use super::rules::Catalogue;
use super::suites::{self, Suite};
use super::{
    AptConfig, DebError, DebOptions, Download, ResolvedDebs, lists, locked, rollback, solve,
};
use crate::fetch::Fetcher;
use crate::recipe::{Arch, DebSource};
use crate::source::solve::SolveError;

/// The archives that this machine is configured with.
///
/// Fetching and verifying a suite takes seconds, and what it lists tens of megabytes, so
/// the last one is held until another is asked for. Whoever resolves several sources
/// asks for those of one suite, one after the other: [`Archives::order`] sorts them so.
#[derive(Debug)]
pub struct Archives<'a> {
    apt: &'a AptConfig,
    last: Option<Snapshot>,
}

/// What identifies a snapshot: everything that a source and the options say about where
/// packages come from, and nothing about which of them are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    suite: String,
    components: Vec<String>,
    arch: Arch,
    now: u64,
    allow_expired: bool,
}

/// A suite with its updates, verified and read.
#[derive(Debug)]
struct Snapshot {
    key: Key,
    suites: Vec<Suite>,
    catalogue: Catalogue,
}

impl<'a> Archives<'a> {
    /// The archives that `apt` names; nothing is fetched yet.
    #[must_use]
    pub fn new(apt: &'a AptConfig) -> Self {
        Self { apt, last: None }
    }

    /// A key by which sources are sorted so that each suite is needed once.
    #[must_use]
    pub fn order(source: &DebSource) -> (&str, &[String]) {
        (&source.suite, &source.components)
    }

    /// Turns a recipe's source into exact packages.
    ///
    /// # Errors
    /// [`DebError`] where no archive has the suite, nobody vouches for it, or the packages
    /// cannot be had together.
    pub async fn resolve(
        &mut self,
        source: &DebSource,
        arch: Arch,
        fetcher: &Fetcher,
        options: DebOptions<'_>,
    ) -> Result<ResolvedDebs, DebError> {
        self.resolve_by(source, arch, fetcher, options).await
    }

    pub(super) async fn resolve_by(
        &mut self,
        source: &DebSource,
        arch: Arch,
        download: &impl Download,
        options: DebOptions<'_>,
    ) -> Result<ResolvedDebs, DebError> {
        let snapshot = self.snapshot(source, arch, download, options).await?;
        let (suites, catalogue) = (&snapshot.suites, &snapshot.catalogue);
        rollback::check(suites, options.before)?;
        let arch = super::debian_name(arch);
        let request = solve::Request {
            suite: &source.suite,
            arch,
            packages: &source.packages,
            without: &source.without,
            keep: options.keep,
        };
        let what = format!("packages for {}", source.packages.join(", "));
        let task = download.progress().start("choosing", &what, None);
        let chosen = solve::solve(catalogue, request)?;
        task.finish(&match chosen.len() {
            1 => "1 package".to_owned(),
            many => format!("{many} packages"),
        });
        Ok(ResolvedDebs {
            releases: suites.iter().map(Suite::vouched).collect(),
            packages: chosen
                .into_iter()
                .filter_map(|number| catalogue.get(number))
                .filter_map(|package| Some(locked(package, arch, suites.get(package.release)?)))
                .collect(),
            snapshots: suites
                .iter()
                .filter_map(|suite| Some((suite.archive.clone(), suite.release.snapshots.clone()?)))
                .collect(),
        })
    }

    async fn snapshot(
        &mut self,
        source: &DebSource,
        arch: Arch,
        download: &impl Download,
        options: DebOptions<'_>,
    ) -> Result<&Snapshot, DebError> {
        let key = Key {
            suite: source.suite.clone(),
            components: source.components.clone(),
            arch,
            now: options.now,
            allow_expired: options.allow_expired,
        };
        // The one before goes first, so that two are never held.
        let fresh = match self.last.take().filter(|last| last.key == key) {
            Some(last) => last,
            None => self.read(source, key, download, options).await?,
        };
        Ok(self.last.insert(fresh))
    }

    async fn read(
        &self,
        source: &DebSource,
        key: Key,
        download: &impl Download,
        options: DebOptions<'_>,
    ) -> Result<Snapshot, DebError> {
        let arch = super::debian_name(key.arch);
        let progress = download.progress();
        let task = progress.start("verifying", &format!("the suite {}", source.suite), None);
        let suites = suites::find(source, arch, self.apt, download, options).await?;
        task.finish(&vouched(&suites));
        let what = format!("the package lists of {}", source.suite);
        let task = progress.start("reading", &what, None);
        let packages = lists::read(source, arch, &suites, download).await?;
        let catalogue = Catalogue::new(packages).map_err(SolveError::from)?;
        task.finish(&format!("{} packages", catalogue.len()));
        Ok(Snapshot {
            key,
            suites,
            catalogue,
        })
    }
}

/// Which release files take part, and of when.
fn vouched(suites: &[Suite]) -> String {
    let each: Vec<String> = suites
        .iter()
        .map(|suite| format!("{} of {}", suite.name, suite.release.date.day()))
        .collect();
    each.join(", ")
}
