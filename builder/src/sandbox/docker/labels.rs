//! Whose a container, volume or image is, and removing those whose process is gone.
//!
//! A process can be asked about only where it was started: on a machine that was not
//! started anew since then, in the same namespace of processes. Of others, an engine on
//! this machine is told by the machine's start alone. In an engine elsewhere, and of a
//! namespace that cannot be seen, there may be another machine or container that looks
//! like this one and is at work right now: there, what is older than any build goes,
//! and only if no container of its process runs any more. Those end by themselves, as
//! their first process keeps to the step's limit of time.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::Docker as Client;
use bollard::models::ContainerSummaryStateEnum as State;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use fs_err as fs;
use lunikernel_cache::Sha256;
use rustix::io::Errno;
use rustix::process::Pid;

use super::image::REPOSITORY;

/// Which machine made it: a digest of what it is called, which outlives its restart.
const HOST: &str = "org.lunikernel.host";
/// Which process made it: `BOOT.NAMESPACE.PID.START`.
const PROCESS: &str = "org.lunikernel.process";
/// When it was made, in seconds since 1970.
const MADE: &str = "org.lunikernel.made";
/// What it is for. Images have none: an image that a person makes of a container has the
/// container's labels too, and by this it is told from what this program made.
const KIND: &str = "org.lunikernel.kind";
/// The kind of containers and volumes.
pub(super) const STEP: &str = "step";
/// What images have instead, `HOST/PROCESS/MADE`: Podman takes the second label of one that is
/// imported as more of the first one's value.
const ROOT: &str = "org.lunikernel.root";
/// No build uses for so long what it made in an engine.
const LONGEST_BUILD: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What says whose something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    host: String,
    process: String,
    /// The namespace of processes that this one is in.
    space: String,
    /// Whether the engine may have things of other machines that look like this one.
    remote: bool,
}

impl Mark {
    /// That of this process, in an engine that is `remote` or here.
    pub(super) fn own(remote: bool) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let space = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        // `pid:[4026531836]`: see namespaces(7).
        let space = space.display().to_string();
        let space: String = space.chars().filter(char::is_ascii_digit).collect();
        let host = format!(
            "{}\n{}",
            read("/etc/machine-id").trim(),
            read("/proc/sys/kernel/hostname").trim()
        );
        let mut host = Sha256::of(host.as_bytes()).hex();
        host.truncate(16);
        let pid = std::process::id();
        Self {
            host,
            process: format!(
                "{}.{space}.{pid}.{}",
                boot(),
                started(pid).unwrap_or_default()
            ),
            space,
            remote,
        }
    }

    /// The labels of something of this process.
    pub(super) fn labels(&self, kind: &str) -> [(String, String); 4] {
        [
            (HOST.to_owned(), self.host.clone()),
            (PROCESS.to_owned(), self.process.clone()),
            (MADE.to_owned(), now().to_string()),
            (KIND.to_owned(), kind.to_owned()),
        ]
    }

    /// A name that nothing else has, on this machine or another.
    pub(super) fn name(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let process = self.process.rsplit('.').take(3).collect::<Vec<_>>();
        format!("lunikernel-{}-{}-{number}", self.host, process.join("-"))
    }

    /// The label of an image of this process.
    pub(super) fn label_of_root(&self) -> (&'static str, String) {
        (ROOT, format!("{}/{}/{}", self.host, self.process, now()))
    }

    /// Who made a container or volume with these labels. The container has those of its
    /// image, too.
    fn maker_of_step<'l>(label: Label<'_, 'l>) -> Option<Maker<'l>> {
        let maker = Maker {
            host: label(HOST)?,
            process: label(PROCESS)?,
            made: label(MADE).and_then(|made| made.parse().ok()),
        };
        (label(KIND)? == STEP).then_some(maker)
    }

    /// Who made an image with these labels.
    fn maker_of_root<'l>(label: Label<'_, 'l>) -> Option<Maker<'l>> {
        let mut parts = label(ROOT)?.splitn(3, '/');
        let maker = Maker {
            host: parts.next()?,
            process: parts.next()?,
            made: parts.next().and_then(|made| made.parse().ok()),
        };
        label(KIND).is_none().then_some(maker)
    }

    /// Whether what `maker` made is meant. `running` are the processes of which a
    /// container runs.
    fn means(&self, whose: Whose, maker: &Maker<'_>, running: &BTreeSet<String>) -> bool {
        maker.host == self.host
            && match whose {
                Whose::Own => maker.process == self.process,
                Whose::Gone => match self.fate(maker.process) {
                    Fate::Lives => false,
                    Fate::Gone => true,
                    Fate::Unknown => is_old(maker.made) && !running.contains(maker.process),
                },
            }
    }

    /// What became of a process of this machine, or of one that looks like it.
    fn fate(&self, process: &str) -> Fate {
        let mut parts = process.splitn(4, '.');
        let (Some(was), Some(space), Some(pid), Some(start)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Fate::Unknown;
        };
        let Ok(pid) = pid.parse() else {
            return Fate::Unknown;
        };
        let now = boot();
        if was.is_empty() || now.is_empty() || (was == now && space != self.space) {
            return Fate::Unknown;
        }
        if was != now {
            // A machine that is a copy of this one has its own start.
            return if self.remote {
                Fate::Unknown
            } else {
                Fate::Gone
            };
        }
        let reused = |now: String| !start.is_empty() && now != start;
        match is_gone(pid) || started(pid).is_some_and(reused) {
            true => Fate::Gone,
            false => Fate::Lives,
        }
    }
}

/// Who made something in an engine, as its labels have it.
struct Maker<'l> {
    host: &'l str,
    process: &'l str,
    made: Option<u64>,
}

/// What became of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lives,
    Gone,
    /// It cannot be asked about from here.
    Unknown,
}

/// The label with a name.
type Label<'f, 'l> = &'f dyn Fn(&str) -> Option<&'l String>;

/// Seconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// Whether no build can use any more what was made then.
fn is_old(made: Option<u64>) -> bool {
    made.is_some_and(|made| made.saturating_add(LONGEST_BUILD.as_secs()) < now())
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
    let containers = client.list_containers(Some(options.build())).await?;
    let mut running = BTreeSet::new();
    for container in &containers {
        let labels = container.labels.as_ref();
        let maker = Mark::maker_of_step(&|name| labels?.get(name));
        if let (Some(maker), true) = (maker, container.state.is_some_and(is_running)) {
            running.insert(maker.process.to_owned());
        }
    }
    let meant =
        |maker: Option<Maker<'_>>| maker.is_some_and(|maker| mark.means(whose, &maker, &running));
    for container in containers {
        let labels = container.labels.unwrap_or_default();
        if let (Some(id), true) = (
            container.id,
            meant(Mark::maker_of_step(&|name| labels.get(name))),
        ) {
            take("container", id);
        }
    }
    let options = ListVolumesOptionsBuilder::new().filters(&filters);
    let volumes = client.list_volumes(Some(options.build())).await?;
    for volume in volumes.volumes.unwrap_or_default() {
        if meant(Mark::maker_of_step(&|name| volume.labels.get(name))) {
            take("volume", volume.name);
        }
    }
    let filters = [("label", vec![ROOT])].into_iter().collect();
    let options = ListImagesOptionsBuilder::new().filters(&filters);
    for image in client.list_images(Some(options.build())).await? {
        if meant(Mark::maker_of_root(&|name| image.labels.get(name)))
            && !has_other_name(&image.repo_tags)
        {
            take("image", image.id);
        }
    }
    Ok(found)
}

/// Whether a container that is in that state has processes.
fn is_running(state: State) -> bool {
    matches!(
        state,
        State::RUNNING | State::PAUSED | State::RESTARTING | State::STOPPING
    )
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
mod tests;
