//! Whose a container, volume or image is, and removing those whose process is gone.

use std::sync::atomic::{AtomicU64, Ordering};

use bollard::Docker as Client;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use fs_err as fs;
use lunikernel_cache::Sha256;
use rustix::io::Errno;
use rustix::process::Pid;

use super::image::REPOSITORY;

/// Which machine (and there, which namespace of processes) made it.
const HOST: &str = "org.lunikernel.host";
/// Which process made it.
const PROCESS: &str = "org.lunikernel.process";
/// What it is for. Images have none: an image that a person makes of a container has the
/// container's labels too, and by this it is told from what this program made.
const KIND: &str = "org.lunikernel.kind";
/// The kind of containers and volumes.
pub(super) const STEP: &str = "step";
/// What images have instead, `HOST/PROCESS`: Podman takes the second label of one that is
/// imported as more of the first one's value.
const ROOT: &str = "org.lunikernel.root";

/// What says whose something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    host: String,
    process: String,
    /// Whether the engine may have things of other machines that look like this one.
    remote: bool,
}

impl Mark {
    /// That of this process, in an engine that is `remote` or here.
    pub(super) fn own(remote: bool) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let space = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let host = format!(
            "{}\n{}\n{}",
            read("/etc/machine-id").trim(),
            read("/proc/sys/kernel/hostname").trim(),
            space.display()
        );
        let mut host = Sha256::of(host.as_bytes()).hex();
        host.truncate(16);
        let pid = std::process::id();
        Self {
            host,
            process: format!("{}.{pid}.{}", boot(), started(pid).unwrap_or_default()),
            remote,
        }
    }

    /// The labels of something of this process.
    pub(super) fn labels(&self, kind: &str) -> [(String, String); 3] {
        [
            (HOST.to_owned(), self.host.clone()),
            (PROCESS.to_owned(), self.process.clone()),
            (KIND.to_owned(), kind.to_owned()),
        ]
    }

    /// A name that nothing else has, on this machine or another.
    pub(super) fn name(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let process = self.process.rsplit('.').take(2).collect::<Vec<_>>();
        format!("lunikernel-{}-{}-{number}", self.host, process.join("-"))
    }

    /// The label of an image of this process.
    pub(super) fn label_of_root(&self) -> (&'static str, String) {
        (ROOT, format!("{}/{}", self.host, self.process))
    }

    /// Whether a container or volume with these labels is meant.
    fn means_step<'a>(&self, whose: Whose, label: impl Fn(&str) -> Option<&'a String>) -> bool {
        let (Some(host), Some(process)) = (label(HOST), label(PROCESS)) else {
            return false;
        };
        label(KIND).is_some_and(|kind| kind == STEP) && self.means(whose, host, process)
    }

    /// Whether an image with these labels is meant.
    fn means_root<'a>(&self, whose: Whose, label: impl Fn(&str) -> Option<&'a String>) -> bool {
        let made = label(ROOT).and_then(|made| made.split_once('/'));
        label(KIND).is_none()
            && made.is_some_and(|(host, process)| self.means(whose, host, process))
    }

    fn means(&self, whose: Whose, host: &str, process: &str) -> bool {
        host == self.host
            && match whose {
                Whose::Own => process == self.process,
                Whose::Gone => self.is_left_over(process),
            }
    }

    /// Whether something with this mark can be removed, as the process that made it was
    /// on this machine and is gone. What cannot be told is not left over.
    fn is_left_over(&self, process: &str) -> bool {
        let mut parts = process.rsplitn(3, '.');
        let (Some(start), Some(pid), Some(was)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let Ok(pid) = pid.parse() else {
            return false;
        };
        let now = boot();
        if was != now || now.is_empty() {
            // A machine that is a copy of this one has its own start.
            let other = !was.is_empty() && !now.is_empty();
            return other && !self.remote;
        }
        let reused = |now: String| !start.is_empty() && now != start;
        is_gone(pid) || started(pid).is_some_and(reused)
    }
}

/// Whether no process has this number. Those of other users need not show in /proc
/// (`hidepid`, proc(5)), but the kernel always says when there is none.
fn is_gone(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(Errno::SRCH))
}

/// What tells one start of the machine from the next.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// When a process was started: field 22 of `/proc/PID/stat` (proc(5)), after the name
/// in brackets.
fn started(pid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19).map(str::to_owned)
}

/// Something of ours that an engine has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Leftover {
    /// `container`, `volume` or `image`.
    pub kind: &'static str,
    /// Its name, or its number where it has none.
    pub name: String,
}

/// Which of this machine's things are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Those of this process.
    Own,
    /// Those whose process is gone.
    Gone,
}

/// What the engine has of them, in the order in which it can be removed.
pub(super) async fn list(
    client: &Client,
    mark: &Mark,
    whose: Whose,
) -> Result<Vec<Leftover>, bollard::errors::Error> {
    let label = format!("{HOST}={}", mark.host);
    let filters = [("label", vec![label.as_str()])].into_iter().collect();
    let mut found = Vec::new();
    let mut take = |kind, name| found.push(Leftover { kind, name });

    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters);
    for container in client.list_containers(Some(options.build())).await? {
        let labels = container.labels.unwrap_or_default();
        if let (Some(id), true) = (
            container.id,
            mark.means_step(whose, |name| labels.get(name)),
        ) {
            take("container", id);
        }
    }
    let options = ListVolumesOptionsBuilder::new().filters(&filters);
    let volumes = client.list_volumes(Some(options.build())).await?;
    for volume in volumes.volumes.unwrap_or_default() {
        if mark.means_step(whose, |name| volume.labels.get(name)) {
            take("volume", volume.name);
        }
    }
    let filters = [("label", vec![ROOT])].into_iter().collect();
    let options = ListImagesOptionsBuilder::new().filters(&filters);
    for image in client.list_images(Some(options.build())).await? {
        if mark.means_root(whose, |name| image.labels.get(name))
            && !has_other_name(&image.repo_tags)
        {
            take("image", image.id);
        }
    }
    Ok(found)
}

/// Whether a person named an image, which then has the labels of the one below it.
fn has_other_name(tags: &[String]) -> bool {
    let ours = |tag: &str| {
        let rest = tag.strip_prefix(REPOSITORY);
        rest.is_some_and(|rest| rest.starts_with(':'))
    };
    tags.iter().any(|tag| !ours(tag) && tag != "<none>:<none>")
}

/// Removes them, and returns those that were there and are gone. What cannot be removed
/// stays for the next time.
pub(super) async fn remove(client: &Client, leftovers: Vec<Leftover>) -> Vec<Leftover> {
    let mut gone = Vec::with_capacity(leftovers.len());
    for leftover in leftovers {
        let name = &leftover.name;
        let removed = match leftover.kind {
            "container" => {
                let options = RemoveContainerOptionsBuilder::new().force(true).v(true);
                client.remove_container(name, Some(options.build())).await
            }
            "volume" => {
                let options = RemoveVolumeOptionsBuilder::new().force(true);
                client.remove_volume(name, Some(options.build())).await
            }
            _ => {
                let options = RemoveImageOptionsBuilder::new().force(true);
                let removed = client.remove_image(name, Some(options.build()), None);
                removed.await.map(drop)
            }
        };
        // There is nobody to tell why not.
        if removed.is_ok() {
            gone.push(leftover);
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_process_that_runs_keeps_its_own() {
        let own = Mark::own(false);
        assert!(!own.is_left_over(&own.process));
        let pid = std::process::id();
        let start = started(pid).unwrap();
        assert!(own.is_left_over(&format!("{}.{pid}.1", boot())));
        assert!(own.is_left_over(&format!("another-boot.{pid}.{start}")));
        // The kernel gives no process this number.
        assert!(own.is_left_over(&format!("{}.2147483647.5", boot())));
        assert_ne!(own.name(), own.name());
    }

    #[test]
    fn what_cannot_be_told_is_kept() {
        let own = Mark::own(false);
        let pid = std::process::id();
        // Processes that /proc did not show, then or now.
        assert!(!own.is_left_over(&format!("{}.{pid}.", boot())));
        assert!(own.is_left_over(&format!("{}.2147483647.", boot())));
        assert!(!own.is_left_over(&format!(".{pid}.5")));
        for nonsense in ["nonsense", "..", "boot.x.5", "boot.-1.5"] {
            assert!(!own.is_left_over(nonsense), "{nonsense}");
        }
        for never in [0, u32::MAX] {
            assert!(
                !own.is_left_over(&format!("{}.{never}.5", boot())),
                "{never}"
            );
        }
    }

    #[test]
    fn another_start_of_a_machine_may_be_another_machine() {
        let own = Mark::own(true);
        assert!(!own.is_left_over(&format!("another-boot.{}.1", std::process::id())));
        assert!(own.is_left_over(&format!("{}.2147483647.5", boot())));
    }

    #[test]
    fn a_process_that_proc_hides_is_not_gone() {
        // It belongs to somebody else, or is this one's parent: it is there either way.
        assert!(!is_gone(1));
        assert!(!is_gone(std::process::id()));
        assert!(is_gone(2_147_483_647));
    }

    #[test]
    fn only_what_this_program_made_is_meant() {
        let own = Mark::own(false);
        let labels: BTreeMap<_, _> = own.labels(STEP).into_iter().collect();
        assert!(own.means_step(Whose::Own, |name| labels.get(name)));
        assert!(!own.means_step(Whose::Gone, |name| labels.get(name)));
        // A container made from an image of this program's, and an image of a container.
        let (name, value) = own.label_of_root();
        let root = BTreeMap::from([(name.to_owned(), value.clone())]);
        assert!(own.means_root(Whose::Own, |name| root.get(name)));
        assert!(!own.means_root(Whose::Gone, |name| root.get(name)));
        assert!(!own.means_step(Whose::Own, |name| root.get(name)));
        let mut both = labels.clone();
        both.insert(name.to_owned(), value);
        assert!(!own.means_root(Whose::Own, |name| both.get(name)));
        for name in [HOST, PROCESS, KIND] {
            let mut other = labels.clone();
            other.insert(name.to_owned(), "other".to_owned());
            assert!(
                !own.means_step(Whose::Own, |name| other.get(name)),
                "{name}"
            );
            other.remove(name);
            assert!(
                !own.means_step(Whose::Own, |name| other.get(name)),
                "{name}"
            );
        }
        let tags = |tags: &[&str]| {
            has_other_name(&tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>())
        };
        assert!(!tags(&[]));
        assert!(!tags(&["<none>:<none>", "localhost/lunikernel-root:1234"]));
        assert!(tags(&["localhost/lunikernel-root:1234", "mine:latest"]));
        assert!(tags(&["localhost/lunikernel-rooted:1234"]));
    }
}
