//! One container: how it is confined, what goes in, what it says, what comes out.

use std::time::{Duration, Instant};

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount,
    MountType, MountVolumeOptions, ResourcesUlimits, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, LogsOptionsBuilder,
    UploadToContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures::StreamExt as _;
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{BlobStore, CacheError, Tree};

use super::labels::{self, Leftover, STEP};
use super::{Docker, EngineTrouble, pack, program::Program};
use crate::sandbox::frames::{Frame, Frames};
use crate::sandbox::job::Job;
use crate::sandbox::log::Log;
use crate::sandbox::native::contained::{ASKED, FOLDER, Finish, NAME, START, Start};
use crate::sandbox::native::mounts::{HIDDEN_FILES, HIDDEN_FOLDERS, READ_ONLY_FOLDERS};
use crate::sandbox::{SandboxError, Surroundings, lent};

/// How much longer than the command's own time limit is waited for its end.
const GRACE: Duration = Duration::from_secs(60);
/// How long an engine may take to notice that a container has ended.
const SETTLE: Duration = Duration::from_secs(60);
/// Processes beyond those that the watch allows, so that it is the watch that notices:
/// those that it leaves to the kernel's own limit, and pid 1.
const SPARE_PROCESSES: u64 = 48;

/// Names the network of the engine that steps use which may use one.
const NETWORK: &str = "LUNI_ENGINE_NETWORK";

/// Files that engines put into every container. Where the root has none of that name,
/// they read as empty; else the root's own are as good as hidden.
const ENGINES_FILES: &[&str] = &[
    "etc/group",
    "etc/hostname",
    "etc/hosts",
    "etc/passwd",
    "etc/resolv.conf",
    ".dockerenv",
];
/// Folders that engines mount something on. Where the root has nothing in them, and
/// `sys` in any case, they are empty and closed to writing.
const ENGINES_FOLDERS: &[&str] = &["sys", "dev/mqueue", "run", "var/tmp"];

/// A container with its volumes. Whoever makes one removes it.
pub(super) struct Container<'a> {
    docker: &'a Docker,
    client: bollard::Docker,
    pub(super) name: String,
}

/// How it went.
pub(super) struct Run {
    /// What pid 1 said last; `None` where it could not.
    pub(super) finish: Option<Finish>,
    pub(super) out_of_memory: bool,
    pub(super) timed_out: bool,
    pub(super) took: Duration,
    /// What came out besides, for an error.
    pub(super) noise: String,
}

impl<'a> Container<'a> {
    pub(super) fn new(docker: &'a Docker) -> Result<Self, SandboxError> {
        Ok(Self {
            docker,
            client: docker.client()?,
            name: docker.mark().name(),
        })
    }

    fn failed(&self, attempted: &str) -> impl FnOnce(bollard::errors::Error) -> SandboxError {
        let (attempted, address) = (attempted.to_owned(), self.docker.address().clone());
        move |error| EngineTrouble::from(error).at(attempted, &address)
    }

    fn volume(&self, number: usize) -> String {
        format!("{}-{number}", self.name)
    }

    /// Makes the volumes and the container, which does not run yet.
    pub(super) async fn create(
        &self,
        image: &str,
        root: &Tree,
        job: &Job,
        around: &Surroundings,
    ) -> Result<(), SandboxError> {
        let folders = ["/build", "/tmp", &around.home];
        let mut mounts = Vec::new();
        for (number, folder) in folders.into_iter().enumerate() {
            let request = VolumeCreateRequest {
                name: Some(self.volume(number)),
                labels: Some(self.docker.mark().labels(STEP).into_iter().collect()),
                ..Default::default()
            };
            self.client
                .create_volume(request)
                .await
                .map_err(self.failed("make a volume"))?;
            mounts.push(Mount {
                typ: Some(MountType::VOLUME),
                source: Some(self.volume(number)),
                target: Some(folder.to_owned()),
                volume_options: Some(MountVolumeOptions {
                    no_copy: Some(true),
                    ..Default::default()
                }),
                ..Default::default()
            });
        }
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(vec![]),
            cmd: Some(vec![NAME.to_owned()]),
            env: Some(vec![
                format!("PATH={FOLDER}"),
                format!("LD_LIBRARY_PATH={FOLDER}"),
                format!("{ASKED}=1"),
            ]),
            user: Some("0:0".to_owned()),
            working_dir: Some("/".to_owned()),
            hostname: Some(around.hostname.clone()),
            domainname: (!self.docker.info().is_podman()).then(|| around.domainname.clone()),
            network_disabled: Some(!job.network),
            labels: Some(self.docker.mark().labels(STEP).into_iter().collect()),
            host_config: Some(self.confinement(root, job, mounts)),
            ..Default::default()
        };
        let options = CreateContainerOptionsBuilder::new()
            .name(&self.name)
            .build();
        self.client
            .create_container(Some(options), body)
            .await
            .map_err(self.failed("make a container"))?;
        Ok(())
    }

    fn confinement(&self, root: &Tree, job: &Job, mounts: Vec<Mount>) -> HostConfig {
        let podman = self.docker.info().is_podman();
        let below = |folder: &str, names: &[&str]| -> Vec<String> {
            names.iter().map(|name| format!("{folder}{name}")).collect()
        };
        let mut masked = below("/proc/", HIDDEN_FILES);
        masked.extend(below("/proc/", HIDDEN_FOLDERS));
        for path in ENGINES_FILES.iter().chain(ENGINES_FOLDERS) {
            if job.network && [lent::RESOLVER, lent::HOSTS].contains(path) {
                continue;
            }
            let bare = match root.get(path) {
                None => true,
                Some(Entry::Folder(tree)) => tree.entries().next().is_none(),
                Some(_) => false,
            };
            // What engines mount on /sys shows the machine, whatever the root has there.
            if bare || *path == "sys" {
                masked.push(format!("/{path}"));
            }
        }
        let mut security = vec!["no-new-privileges".to_owned()];
        // The filter of pid 1 comes before the command. That of an engine refuses other
        // calls in each of its versions, which a build could notice.
        security.push("seccomp=unconfined".to_owned());
        if podman {
            security.push(format!("mask={}", masked.join(":")));
        }
        let processes = signed(job.processes.saturating_add(SPARE_PROCESSES));
        // So much wider than what the watch allows that the watch is first.
        let mib = job.memory_mib.saturating_add(job.memory_mib / 4 + 128);
        let memory = signed(mib.saturating_mul(1 << 20));
        let limit = |name: &str, soft, hard| ResourcesUlimits {
            name: Some(name.to_owned()),
            soft: Some(soft),
            hard: Some(hard),
        };
        HostConfig {
            network_mode: match job.network {
                true => network_for_steps(),
                false => Some("none".to_owned()),
            },
            ipc_mode: Some("private".to_owned()),
            cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(security),
            readonly_rootfs: Some(true),
            masked_paths: Some(masked),
            readonly_paths: Some(below("/proc/", READ_ONLY_FOLDERS)),
            mounts: Some(mounts),
            memory: Some(memory),
            memory_swap: Some(memory),
            pids_limit: Some(processes),
            shm_size: Some(memory),
            // Below what every engine has, and still more than pid 1 leaves a command: it
            // may not raise them.
            ulimits: Some(vec![
                limit("nofile", 1024, 4096),
                limit("nproc", processes, processes),
            ]),
            // A name server that does not exist, so that none of the machine's shows.
            dns: (!job.network).then(|| vec!["127.0.0.1".to_owned()]),
            dns_search: Some(vec![".".to_owned()]),
            dns_options: Some(vec![]),
            log_config: Some(log_config(podman)),
            ..Default::default()
        }
    }

    /// Puts the inputs into /build, and the program that becomes pid 1 beside them.
    pub(super) async fn fill(
        &self,
        blobs: &BlobStore,
        build: Tree,
        program: &Program,
        start: &Start,
    ) -> Result<(), SandboxError> {
        let inputs = blobs.clone();
        self.upload("/build", move |builder| {
            pack::append_tree(builder, &inputs, &build, "")
        })
        .await?;
        let start = serde_json::to_vec(start)
            .map_err(|error| CacheError::io("write what is to be started")(error.into()))?;
        let mut files = program.files.clone();
        files.insert(START.to_owned(), start);
        let name = FOLDER.strip_prefix("/tmp/").unwrap_or(FOLDER);
        self.upload("/tmp", move |builder| {
            pack::append_folder(builder, &format!("{name}/"), 0o700)?;
            files.iter().try_for_each(|(file, content)| {
                pack::append_bytes(builder, &format!("{name}/{file}"), 0o700, content)
            })
        })
        .await
    }

    async fn upload(
        &self,
        to: &str,
        write: impl FnOnce(&mut tar::Builder<pack::Sending>) -> Result<(), CacheError> + Send + 'static,
    ) -> Result<(), SandboxError> {
        let (body, writing) = pack::stream(write);
        let options = UploadToContainerOptionsBuilder::new().path(to).build();
        let sent = self
            .client
            .upload_to_container(&self.name, Some(options), bollard::body_try_stream(body))
            .await
            .map_err(self.failed(&format!("put files into {to} of a container")));
        match writing.await {
            Ok(Err(error @ CacheError::Missing { .. })) => Err(error.into()),
            Ok(Err(error)) if sent.is_ok() => Err(error.into()),
            _ => sent,
        }
    }

    /// Runs it to its end; what the command prints goes to `log` meanwhile.
    pub(super) async fn run(&self, job: &Job, log: &mut Log<'_>) -> Result<Run, SandboxError> {
        self.client
            .start_container(
                &self.name,
                None::<bollard::query_parameters::StartContainerOptions>,
            )
            .await
            .map_err(self.failed("start a container"))?;
        let begun = Instant::now();
        let mut listener = Listener::default();
        let patience = job.timeout.saturating_add(GRACE);
        let followed = tokio::time::timeout(patience, self.listen(&mut listener, true, log)).await;
        let timed_out = followed.is_err();
        if let Ok(followed) = followed
            && listener.finish.is_none()
        {
            // An engine may lose its connection to the log, or be gone.
            let again = self.listen(&mut listener, false, log).await;
            again?;
            if listener.finish.is_none() {
                followed?;
            }
        }
        let took = begun.elapsed();
        if timed_out {
            // Its removal ends it.
            return Ok(Run {
                finish: listener.finish,
                out_of_memory: false,
                timed_out,
                took,
                noise: String::new(),
            });
        }
        let out_of_memory = self.settle().await?;
        if listener.finish.is_none() {
            self.listen(&mut listener, false, log).await?;
        }
        Ok(Run {
            finish: listener.finish,
            out_of_memory,
            timed_out,
            took,
            noise: listener.frames.noise(),
        })
    }

    /// Reads the container's log.
    async fn listen(
        &self,
        listener: &mut Listener,
        follow: bool,
        log: &mut Log<'_>,
    ) -> Result<(), SandboxError> {
        let options = LogsOptionsBuilder::new()
            .follow(follow)
            .stdout(true)
            .stderr(true)
            .build();
        listener.skip = listener.received;
        listener.frames = Frames::default();
        let mut pieces = self.client.logs(&self.name, Some(options));
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(self.failed("follow the command to its end"))?;
            listener.take(&piece.into_bytes(), log)?;
        }
        Ok(())
    }

    /// Waits until the container has ended; says whether the engine's own limit of memory
    /// had to do with it.
    async fn settle(&self) -> Result<bool, SandboxError> {
        let options = WaitContainerOptionsBuilder::new()
            .condition("not-running")
            .build();
        let mut waiting = self.client.wait_container(&self.name, Some(options));
        // An exit code other than 0 comes as an error too; the state says more.
        let _ = tokio::time::timeout(SETTLE, waiting.next()).await;
        let found = self
            .client
            .inspect_container(
                &self.name,
                None::<bollard::query_parameters::InspectContainerOptions>,
            )
            .await
            .map_err(self.failed("ask how a container ended"))?;
        let state = found.state.unwrap_or_default();
        if state.running == Some(true) {
            let trouble = EngineTrouble::Wrong(
                "the container is still running after its command has ended".to_owned(),
            );
            return Err(trouble.at("wait for a container's end", self.docker.address()));
        }
        Ok(state.oom_killed.unwrap_or(false))
    }

    /// What is at `path`, as a tar archive.
    pub(super) fn download(
        &self,
        path: &str,
    ) -> impl futures::Stream<Item = Result<bytes::Bytes, bollard::errors::Error>> + use<> {
        let options = DownloadFromContainerOptionsBuilder::new()
            .path(path)
            .build();
        self.client
            .download_from_container(&self.name, Some(options))
    }

    /// Removes the container with all that belongs to it, running or not.
    pub(super) async fn remove(&self) {
        let mut ours = vec![Leftover {
            kind: "container",
            name: self.name.clone(),
        }];
        ours.extend((0..3).map(|number| Leftover {
            kind: "volume",
            name: self.volume(number),
        }));
        labels::remove(&self.client, ours).await;
    }
}

/// Where a container's log has been read to.
#[derive(Default)]
struct Listener {
    frames: Frames,
    /// Bytes of output that came so far, and of those how many are still to be passed
    /// over, where the log is read from its beginning again.
    received: u64,
    skip: u64,
    finish: Option<Finish>,
}

impl Listener {
    fn take(&mut self, piece: &[u8], log: &mut Log<'_>) -> Result<(), SandboxError> {
        let Self {
            frames,
            received,
            skip,
            finish,
        } = self;
        frames
            .take(piece, |frame| match frame {
                Frame::Output(bytes) => {
                    let known = usize::try_from(*skip)
                        .unwrap_or(usize::MAX)
                        .min(bytes.len());
                    *skip -= known as u64;
                    let new = bytes.get(known..).unwrap_or_default();
                    *received += new.len() as u64;
                    log.take(new)
                }
                Frame::End(json) => {
                    *finish = serde_json::from_str(&json).ok();
                    Ok(())
                }
            })
            .map_err(|error| CacheError::io("keep the command's log")(error).into())
    }
}

/// Where the engine keeps the log: where binary data survive, and enough for the
/// longest log that is kept, in base64.
fn log_config(podman: bool) -> HostConfigLogConfig {
    if podman {
        return HostConfigLogConfig {
            typ: Some("k8s-file".to_owned()),
            config: None,
        };
    }
    let config = [
        ("max-size", "100m"),
        ("max-file", "2"),
        ("compress", "false"),
    ];
    let config = config.map(|(name, value)| (name.to_owned(), value.to_owned()));
    HostConfigLogConfig {
        typ: Some("local".to_owned()),
        config: Some(config.into_iter().collect()),
    }
}

/// The engine's network for a step that may use one: that of `LUNI_ENGINE_NETWORK`, else
/// the engine's usual one, which is a bridge.
fn network_for_steps() -> Option<String> {
    std::env::var(NETWORK).ok().filter(|name| !name.is_empty())
}

/// Whether that is the network of the engine's machine.
pub(super) fn shares_network() -> bool {
    network_for_steps().as_deref() == Some("host")
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
