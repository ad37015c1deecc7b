//! The files of a sandbox on disk: the root, which is kept for the next, and what a
//! command changes, which is thrown away or, after a failure, kept to look at.
//!
//! ```text
//! CACHE/roots-v1/HEX/tree      a root without `build`, named by its digest, never written to
//! CACHE/roots-v1/HEX/other     the same, for the other user as whom commands can run
//! CACHE/failed-v1/HEX/upper    what the failed command of the action HEX changed
//! ```

use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::File;
use lunikernel_cache::checkout::{self, Order};
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Cache, Digest, Scratch, Tree, reapi, remove};
use prost::Message as _;
use rustix::fs::{CWD, XattrFlags};

use super::launch::hand_over;
use super::owner::Owner;
use super::trouble;
use super::{home, numbers};
use crate::sandbox::job::{BUILD, Job};
use crate::sandbox::{SandboxError, UserId, lent};

const ROOTS: &str = "roots-v1";
const FAILED: &str = "failed-v1";

/// The folder of the root's read-only layer, made if it is not there yet.
pub(super) fn root(
    cache: &Cache,
    job: &Job,
    action: &Digest,
    owner: &Owner,
) -> Result<PathBuf, SandboxError> {
    let (digest, bytes) = bare_root(job);
    let name = Path::new(ROOTS).join(digest.sha256.hex());
    let place = cache.root().join(&name);
    // Files that belong to another would belong to no one inside.
    let part = if owner.is_other() { "other" } else { "tree" };
    let tree = name.join(part);
    let io = || trouble("write out the root's files");

    let usable = || fs::metadata(place.join(part)).is_ok_and(|meta| meta.uid() == owner.uid());
    if !usable() {
        let _lock = cache.lock(&digest.sha256)?;
        if !usable() {
            let scratch = cache.scratch()?;
            let fresh = scratch.path().join("root");
            cache.blobs().put(&bytes)?;
            let tree = with_points(Tree::load(cache.blobs(), &digest)?, action)?;
            checkout::check_out(cache.blobs(), &tree, &fresh, owner.switch())?;
            // After a power cut, a root must be whole or not there.
            cache.sync()?;
            fs::create_dir_all(&place).map_err(io())?;
            let at = place.join(part);
            if fs::symlink_metadata(&at).is_ok() {
                // Another user's, who was root inside then.
                fs::rename(&at, scratch.path().join("old")).map_err(io())?;
            }
            fs::rename(&fresh, &at).map_err(io())?;
            let _ = remove::remove_tree(&scratch.path().join("old"));
        }
    }
    checkout::touch(&place);
    Ok(tree)
}

/// The input root without `build`: its digest and its message.
fn bare_root(job: &Job) -> (Digest, Vec<u8>) {
    let mut top = job.input_root.clone();
    top.directories.retain(|folder| folder.name != BUILD);
    let bytes = top.encode_to_vec();
    (Digest::of(&bytes), bytes)
}

/// The input root without what is in `build`, with a folder wherever something is to be
/// mounted. The digest is that of the root as it was given.
pub(in crate::sandbox) fn root_tree(
    cache: &Cache,
    job: &Job,
    action: &Digest,
) -> Result<(Digest, Tree), SandboxError> {
    let (digest, bytes) = bare_root(job);
    cache.blobs().put(&bytes)?;
    let mut tree = with_points(Tree::load(cache.blobs(), &digest)?, action)?;
    let added = tree.insert(BUILD, Entry::Folder(Tree::new()));
    added.map_err(|error| bad(action, error.to_string()))?;
    Ok((digest, tree))
}

fn with_points(mut tree: Tree, action: &Digest) -> Result<Tree, SandboxError> {
    for name in checkout::MOUNT_POINTS {
        match tree.get(name) {
            Some(Entry::Folder(_)) => {}
            None => {
                let added = tree.insert(name, Entry::Folder(Tree::new()));
                added.map_err(|error| bad(action, error.to_string()))?;
            }
            Some(_) => {
                let why = format!("its input root has `{name}`, which is no folder");
                return Err(bad(action, why));
            }
        }
    }
    Ok(tree)
}

fn bad(action: &Digest, why: String) -> SandboxError {
    SandboxError::BadAction {
        digest: *action,
        why,
    }
}

/// What the surroundings ask of a state.
pub(super) struct Wanted<'a> {
    /// Where the home is; [`home::check_unpacked`] allowed it.
    pub(super) home: &'a str,
    /// What lies in the root as if it were the root's own, and its path.
    pub(super) addition: Option<(&'a str, &'a Tree)>,
    /// How many inodes are to be taken while `/build` is written.
    pub(super) inodes_used: u32,
}

impl Wanted<'_> {
    /// What every build has.
    pub(super) const USUAL: Self = Self {
        home: home::USUAL,
        addition: None,
        inodes_used: 0,
    };
}

/// What a command changes: a folder with `upper`, and `work` and `mnt` while it runs.
pub(in crate::sandbox) struct State {
    path: PathBuf,
    /// Removes the folder; `None` for one that is kept.
    scratch: Option<Scratch>,
}

impl State {
    /// The state in which an action starts.
    pub(super) fn fresh(
        cache: &Cache,
        job: &Job,
        action: &Digest,
        owner: &Owner,
        wanted: &Wanted<'_>,
    ) -> Result<Self, SandboxError> {
        Self::with(cache, &build_tree(cache, job, action)?, owner, wanted)
    }

    /// Keeps `build` as the state that the action's failed command left elsewhere, for a
    /// shell here.
    pub(in crate::sandbox) fn keep_tree(
        cache: &Cache,
        action: &Digest,
        build: &Tree,
    ) -> Result<PathBuf, SandboxError> {
        let (owner, _) = Owner::find(UserId::Usual).map_err(trouble("find out who this is"))?;
        Self::with(cache, build, &owner, &Wanted::USUAL)?.keep(cache, action, None)
    }

    /// A state with that in `/build`.
    fn with(
        cache: &Cache,
        build: &Tree,
        owner: &Owner,
        wanted: &Wanted<'_>,
    ) -> Result<Self, SandboxError> {
        let scratch = cache.scratch()?;
        let state = Self {
            path: scratch.path().join("state"),
            scratch: Some(scratch),
        };
        let upper = state.upper();
        let io = || trouble("make the scratch folders");
        for path in [&state.path, &upper] {
            fs::create_dir(path).map_err(io())?;
        }
        let taken = state.path.join("taken");
        numbers::take_inodes(&taken, wanted.inodes_used).map_err(io())?;
        checkout::check_out(cache.blobs(), build, &upper.join(BUILD), owner.switch())?;
        remove::remove_tree(&taken).map_err(io())?;
        let temporary = upper.join("tmp");
        fs::create_dir(&temporary).map_err(io())?;
        hide_below(&temporary);
        finish(&temporary, 0o1777, owner).map_err(io())?;
        home::make(&upper, wanted.home, owner).map_err(io())?;
        if let Some((path, tree)) = wanted.addition {
            let at = upper.join(path);
            let parents = at.ancestors().skip(1);
            let parents: Vec<&Path> = parents.take_while(|parent| *parent != upper).collect();
            fs::create_dir_all(at.parent().unwrap_or(&upper)).map_err(io())?;
            checkout::check_out(cache.blobs(), tree, &at, owner.switch())?;
            for parent in parents {
                finish(parent, 0o755, owner).map_err(io())?;
            }
        }
        finish(&upper, 0o755, owner).map_err(io())?;
        state.prepare(owner)?;
        // Once it is kept, nobody else may run what the command made of it.
        finish(&state.path, 0o700, owner).map_err(io())?;
        Ok(state)
    }

    /// The state that the action's failed command left, if it is kept.
    pub(super) fn kept(
        cache: &Cache,
        action: &Digest,
        owner: &Owner,
    ) -> Result<Option<Self>, SandboxError> {
        let path = kept_path(cache, action);
        let owned = fs::metadata(path.join("upper")).is_ok_and(|meta| meta.uid() == owner.uid());
        if !owned {
            return Ok(None);
        }
        let state = Self {
            path,
            scratch: None,
        };
        state.prepare(owner)?;
        Ok(Some(state))
    }

    /// Lays down what a command with the network needs of the machine, over a root whose
    /// read-only layer is `lower`. What the root says about authorities stays.
    pub(super) fn lend(&self, lower: &Path, owner: &Owner) -> Result<(), SandboxError> {
        let io = || trouble("lend what the network takes");
        let own = fs::symlink_metadata(lower.join(lent::CERTIFICATES)).is_ok();
        let certificates = if own { None } else { lent::certificates() };
        let files = [
            (lent::RESOLVER, Some(lent::resolver().into_bytes())),
            (lent::HOSTS, Some(lent::hosts().into_bytes())),
            (lent::CERTIFICATES, certificates),
        ];
        for (path, content) in files {
            let folders: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
            let is_other = |folder: &&Path| {
                let found = fs::symlink_metadata(lower.join(folder));
                found.is_ok_and(|meta| !meta.is_dir())
            };
            let Some(content) = content.filter(|_| !folders.iter().any(is_other)) else {
                continue;
            };
            let at = self.upper().join(path);
            fs::create_dir_all(at.parent().unwrap_or(&at)).map_err(io())?;
            fs::write(&at, content).map_err(io())?;
            finish(&at, 0o644, owner).map_err(io())?;
            for folder in folders
                .iter()
                .filter(|folder| !folder.as_os_str().is_empty())
            {
                finish(&self.upper().join(folder), 0o755, owner).map_err(io())?;
            }
        }
        finish(&self.upper(), 0o755, owner).map_err(io())
    }

    fn prepare(&self, owner: &Owner) -> Result<(), SandboxError> {
        let io = || trouble("make the scratch folders");
        for name in ["work", "mnt"] {
            let path = self.path.join(name);
            remove::remove_tree(&path).map_err(io())?;
            fs::create_dir(&path).map_err(io())?;
            finish(&path, 0o755, owner).map_err(io())?;
        }
        Ok(())
    }

    fn upper(&self) -> PathBuf {
        self.path.join("upper")
    }

    /// Its path relative to the cache's folder.
    pub(super) fn relative(&self, cache: &Cache) -> PathBuf {
        self.path
            .strip_prefix(cache.root())
            .unwrap_or(&self.path)
            .to_owned()
    }

    /// The folder `/build` on disk, held open.
    pub(super) fn build(&self) -> Result<File, SandboxError> {
        File::open(self.upper().join(BUILD)).map_err(trouble("open the folder of outputs"))
    }

    /// Keeps it under the action's name, in place of an older one; `memory` is `/build`
    /// where that was a memory file system.
    pub(super) fn keep(
        self,
        cache: &Cache,
        action: &Digest,
        memory: Option<&File>,
    ) -> Result<PathBuf, SandboxError> {
        let io = || trouble("keep what the command left");
        let place = kept_path(cache, action);
        let Some(scratch) = &self.scratch else {
            return Ok(place);
        };
        if let Some(memory) = memory {
            let build = self.upper().join(BUILD);
            let meta = fs::metadata(&build).map_err(io())?;
            remove::remove_tree(&build).map_err(io())?;
            fs::create_dir(&build).map_err(io())?;
            let folder = File::open(&build).map_err(io())?;
            checkout::copy(memory.file().as_fd(), folder.file().as_fd(), Order::Forward)
                .map_err(io())?;
            give_all(&build, meta.uid(), meta.gid()).map_err(io())?;
        }
        for name in ["work", "mnt"] {
            remove::remove_tree(&self.path.join(name)).map_err(io())?;
        }
        fs::create_dir_all(cache.root().join(FAILED)).map_err(io())?;
        let old = scratch.path().join("old");
        match fs::rename(&place, &old) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io()(error));
            }
            _ => {}
        }
        fs::rename(&self.path, &place).map_err(io())?;
        let _ = remove::remove_tree(&old);
        Ok(place)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if self.scratch.is_some() {
            // The file system's own folder in `work` is closed to everyone, which
            // stops the scratch folder's own removal.
            let _ = remove::remove_tree(&self.path);
        }
    }
}

fn kept_path(cache: &Cache, action: &Digest) -> PathBuf {
    cache.root().join(FAILED).join(action.sha256.hex())
}

/// Whether a state is kept for an action.
pub(super) fn is_kept(cache: &Cache, action: &Digest) -> bool {
    kept_path(cache, action).join("upper").is_dir()
}

/// Forgets the state kept for an action that has since done well.
pub(in crate::sandbox) fn forget(cache: &Cache, action: &Digest) {
    let _ = remove::remove_tree(&kept_path(cache, action));
}

/// The inputs in `build`, with the folders that outputs go into (REAPI has the
/// sandbox make those).
pub(in crate::sandbox) fn build_tree(
    cache: &Cache,
    job: &Job,
    action: &Digest,
) -> Result<Tree, SandboxError> {
    let found = job.input_root.directories.iter().find(|f| f.name == BUILD);
    let mut tree = match found.map(|folder: &reapi::DirectoryNode| &folder.digest) {
        None => Tree::new(),
        Some(digest) => {
            let digest = digest.as_ref().and_then(Digest::from_reapi);
            let digest = digest.ok_or_else(|| bad(action, "a folder has no digest".to_owned()))?;
            Tree::load(cache.blobs(), &digest)?
        }
    };
    let below = job.below_build();
    for output in job.outputs.iter().map(String::as_str).chain([""]) {
        let path = join(below, output);
        let folder = if output.is_empty() {
            path.as_str()
        } else {
            path.rsplit_once('/').map_or("", |(folder, _)| folder)
        };
        for (end, _) in folder.match_indices('/').chain([(folder.len(), "")]) {
            let prefix = folder.get(..end).unwrap_or_default();
            if !prefix.is_empty() && tree.get(prefix).is_none() {
                let added = tree.insert(prefix, Entry::Folder(Tree::new()));
                added.map_err(|error| bad(action, error.to_string()))?;
            }
        }
    }
    Ok(tree)
}

/// Two relative paths, either of which may be empty, as one.
pub(super) fn join(folder: &str, path: &str) -> String {
    match (folder, path) {
        ("", path) => path.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, path) => format!("{folder}/{path}"),
    }
}

/// Hides what the root itself has where the layer above it has this folder. A file
/// system that cannot say so shows both.
pub(super) fn hide_below(folder: &Path) {
    let _ = rustix::fs::setxattr(folder, "user.overlay.opaque", b"y", XattrFlags::empty());
}

/// Gives a folder its mode, owner and time stamp.
pub(super) fn finish(path: &Path, mode: u32, owner: &Owner) -> std::io::Result<()> {
    let folder = File::open(path)?;
    hand_over(folder.file().as_fd(), owner)?;
    folder.set_permissions(PermissionsExt::from_mode(mode))?;
    Ok(rustix::fs::futimens(folder.file(), &checkout::times())?)
}

fn give_all(path: &Path, uid: u32, gid: u32) -> std::io::Result<()> {
    let (uid, gid) = (
        rustix::fs::Uid::from_raw(uid),
        rustix::fs::Gid::from_raw(gid),
    );
    for entry in walkdir::WalkDir::new(path) {
        let entry = entry.map_err(std::io::Error::other)?;
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(CWD, entry.path(), Some(uid), Some(gid), flags)?;
    }
    Ok(())
}
