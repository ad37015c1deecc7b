//! Whose a container, volume or image is, and removing those whose process is gone.

use std::sync::atomic::{AtomicU64, Ordering};

use bollard::Docker as Client;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use fs_err as fs;
use lunikernel_cache::Sha256;

/// Which machine (and there, which namespace of processes) made it.
const HOST: &str = "org.lunikernel.host";
/// Which process made it.
const PROCESS: &str = "org.lunikernel.process";
/// What it is for.
const KIND: &str = "org.lunikernel.kind";

/// What says whose something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    host: String,
    process: String,
}

impl Mark {
    /// That of this process.
    pub(super) fn own() -> Self {
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

    /// Whether something with this mark can be removed, as the process that made it was
    /// on this machine and is gone.
    fn is_left_over(&self, process: &str) -> bool {
        let mut parts = process.rsplitn(3, '.');
        let (Some(start), Some(pid), Some(was)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let Ok(pid) = pid.parse() else {
            return false;
        };
        was != boot() || started(pid).is_none_or(|now| now != start)
    }
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
    let label = match whose {
        Whose::Own => format!("{PROCESS}={}", mark.process),
        Whose::Gone => format!("{HOST}={}", mark.host),
    };
    let filters = [("label", vec![label.as_str()])].into_iter().collect();
    let meant = |process: Option<&String>| match whose {
        Whose::Own => true,
        Whose::Gone => process.is_some_and(|process| mark.is_left_over(process)),
    };
    let mut found = Vec::new();
    let mut take = |kind, name| found.push(Leftover { kind, name });

    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters);
    for container in client.list_containers(Some(options.build())).await? {
        let labels = container.labels.unwrap_or_default();
        if let (Some(id), true) = (container.id, meant(labels.get(PROCESS))) {
            take("container", id);
        }
    }
    let options = ListVolumesOptionsBuilder::new().filters(&filters);
    let volumes = client.list_volumes(Some(options.build())).await?;
    for volume in volumes.volumes.unwrap_or_default() {
        if meant(volume.labels.get(PROCESS)) {
            take("volume", volume.name);
        }
    }
    let options = ListImagesOptionsBuilder::new().filters(&filters);
    for image in client.list_images(Some(options.build())).await? {
        if meant(image.labels.get(PROCESS)) {
            take("image", image.id);
        }
    }
    Ok(found)
}

/// Removes them. What cannot be removed stays for the next time.
pub(super) async fn remove(client: &Client, leftovers: &[Leftover]) {
    for leftover in leftovers {
        let name = &leftover.name;
        // There is nobody to tell; `luni cache gc` lists what stays.
        let _ = match leftover.kind {
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_keeps_its_own() {
        let own = Mark::own();
        assert!(!own.is_left_over(&own.process));
        let pid = std::process::id();
        assert!(own.is_left_over(&format!("{}.{pid}.1", boot())));
        assert!(own.is_left_over(&format!("another-boot.{pid}.{}", started(pid).unwrap())));
        // The kernel gives no process this number.
        assert!(own.is_left_over(&format!("{}.4294967295.5", boot())));
        assert!(!own.is_left_over("nonsense"));
        assert_ne!(own.name(), own.name());
    }
}
