//! What a command left in a container, taken into the store.
//!
//! What an engine sends is not taken at its word: it is read by the reader that packages
//! go through, which refuses names that lead elsewhere, and within the bounds of outputs
//! that are taken from a disk.

use std::io::{self, Read};

use bytes::Bytes;
use futures::StreamExt as _;
use lunikernel_cache::checkout::{MAX_BYTES, MAX_DEPTH, MAX_ENTRIES};
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{BlobStore, NodeKind, Rootfs, Tree, reapi};
use tokio::sync::mpsc;

use super::container::Container;
use super::{Docker, EngineTrouble};
use crate::assemble::member::{Limits, MemberError};
use crate::assemble::tarball::{self, TarError};
use crate::sandbox::job::Job;
use crate::sandbox::native::contained::Found;
use crate::sandbox::native::outputs::record;
use crate::sandbox::{Failure, SandboxError};

/// How many chunks may wait to be unpacked.
const WAITING: usize = 16;

/// Takes every output into the store and records it in `result`.
pub(super) async fn outputs(
    docker: &Docker,
    container: &Container<'_>,
    blobs: &BlobStore,
    job: &Job,
    found: Vec<(String, Found)>,
    result: &mut reapi::ActionResult,
) -> Result<Option<Failure>, SandboxError> {
    let mut left = MAX_BYTES;
    let mut found = found.into_iter();
    for output in &job.outputs {
        let entry = match found.next() {
            Some((_, Found::Symlink { target })) => Entry::Symlink { target },
            Some((path, Found::Content)) => {
                match fetch(docker, container, blobs, &path, &mut left).await? {
                    Ok(entry) => entry,
                    Err(failure) => return Ok(Some(failure)),
                }
            }
            Some((_, Found::Refused { path, why })) => {
                return Ok(Some(Failure::BadOutput { path, why }));
            }
            Some((_, Found::Nothing)) | None => {
                return Ok(Some(Failure::MissingOutput(output.clone())));
            }
        };
        record(blobs, output, entry, result)?;
    }
    Ok(None)
}

/// What a failed command left in /build, as far as it can be had.
pub(super) async fn remains(
    docker: &Docker,
    container: &Container<'_>,
    blobs: &BlobStore,
    found: Vec<(String, Found)>,
) -> Result<Tree, SandboxError> {
    let mut tree = Tree::new();
    let mut left = MAX_BYTES;
    for (path, found) in found {
        let entry = match found {
            Found::Symlink { target } => Entry::Symlink { target },
            Found::Content => match fetch(docker, container, blobs, &path, &mut left).await? {
                Ok(entry) => entry,
                Err(_) => continue,
            },
            Found::Nothing | Found::Refused { .. } => continue,
        };
        // Names that cannot be are passed over, like all else that cannot be had.
        let _ = tree.insert(&path, entry);
    }
    Ok(tree)
}

/// Fetches the file or folder at `path` below /build.
async fn fetch(
    docker: &Docker,
    container: &Container<'_>,
    blobs: &BlobStore,
    path: &str,
    left: &mut u64,
) -> Result<Result<Entry, Failure>, SandboxError> {
    let attempted = || format!("fetch `{path}` from a container");
    let mut stream = container.download(&format!("/build/{path}"));
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(WAITING);
    let store = blobs.clone();
    let limits = Limits {
        total: *left,
        members: MAX_ENTRIES as u64,
        devices: true,
        twice: false,
    };
    let unpacking = tokio::task::spawn_blocking(move || {
        let reader = Receiving {
            receiver,
            chunk: Bytes::new(),
        };
        tarball::unpack(reader, limits, &store)
    });
    let mut broken = None;
    while let Some(chunk) = stream.next().await {
        let chunk = match chunk {
            Ok(chunk) => Ok(chunk),
            Err(error) => {
                broken = Some(error);
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        };
        let stop = chunk.is_err();
        if sender.send(chunk).await.is_err() || stop {
            break;
        }
    }
    drop(sender);
    let unpacked = unpacking.await;
    if let Some(error) = broken {
        return Err(EngineTrouble::from(error).at(attempted(), docker.address()));
    }
    let refused = |why: String| {
        Ok(Err(Failure::BadOutput {
            path: path.to_owned(),
            why,
        }))
    };
    let root = match unpacked {
        Ok(Ok(root)) => root,
        Ok(Err(TarError::Member(MemberError::Cache(error)))) => return Err(error.into()),
        Ok(Err(
            error @ (TarError::Archive { .. } | TarError::Member(MemberError::Content { .. })),
        )) => {
            let trouble = EngineTrouble::Wrong(format!("what it sent is no archive: {error}"));
            return Err(trouble.at(attempted(), docker.address()));
        }
        Ok(Err(error)) => return refused(error.to_string()),
        Err(error) => {
            let trouble = EngineTrouble::Wrong(error.to_string());
            return Err(trouble.at(attempted(), docker.address()));
        }
    };
    let name = path.rsplit('/').next().unwrap_or(path);
    match entry(&root, name) {
        Ok((entry, bytes)) => {
            *left = left.saturating_sub(bytes);
            Ok(Ok(entry))
        }
        Err(why) => refused(why),
    }
}

/// What `root` has as `name`, which must be all that it has, and how many bytes.
fn entry(root: &Rootfs, name: &str) -> Result<(Entry, u64), String> {
    let mut tree = Tree::new();
    let mut bytes = 0;
    for (path, node) in root.nodes() {
        if path.split('/').next() != Some(name) {
            return Err(format!("the engine sent `{path}` instead"));
        }
        if path.split('/').count() > MAX_DEPTH {
            return Err("it is nested too deeply".to_owned());
        }
        let entry = match &node.kind {
            NodeKind::Folder => Entry::Folder(Tree::new()),
            NodeKind::File { content, .. } => {
                bytes += content.size;
                Entry::File {
                    digest: *content,
                    // The owner's bit, as for outputs that are taken from a disk.
                    executable: node.mode & 0o100 != 0,
                }
            }
            NodeKind::Symlink { target } => Entry::Symlink {
                target: target.clone(),
            },
            NodeKind::CharDevice { .. } | NodeKind::BlockDevice { .. } => {
                return Err(format!("`{path}` is a device"));
            }
            NodeKind::Fifo => return Err(format!("`{path}` is a named pipe")),
        };
        tree.insert(path, entry)
            .map_err(|error| error.to_string())?;
    }
    match tree.remove(name) {
        Some(entry) => Ok((entry, bytes)),
        None => Err("the engine sent nothing".to_owned()),
    }
}

/// The reading end of a stream.
struct Receiving {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
}

impl Read for Receiving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let count = self.chunk.len().min(buffer.len());
        let (to, from) = (buffer.get_mut(..count), self.chunk.split_to(count));
        if let Some(to) = to {
            to.copy_from_slice(&from);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use lunikernel_cache::{Digest, Node};

    use super::*;

    fn root(nodes: &[(&str, Node)]) -> Rootfs {
        let mut root = Rootfs::new();
        for (path, node) in nodes {
            root.insert(path, node.clone()).unwrap();
        }
        root
    }

    #[test]
    fn only_what_was_asked_for_is_taken() {
        let content = Digest::of(b"content");
        let honest = [
            ("out", Node::folder(0o755)),
            ("out/program", Node::file(0o700, content)),
            ("out/plain", Node::file(0o611, content)),
            ("out/text", Node::file(0o655, content)),
        ];
        let (entry_of, bytes) = entry(&root(&honest), "out").unwrap();
        assert_eq!(bytes, 3 * content.size);
        let Entry::Folder(tree) = entry_of else {
            panic!("no folder");
        };
        let executable = |path| {
            matches!(
                tree.get(path),
                Some(Entry::File {
                    executable: true,
                    ..
                })
            )
        };
        assert!(executable("program"));
        // Others may execute these, and their owner may not.
        assert!(!executable("plain") && !executable("text"));

        for (path, said) in [
            ("other", "the engine sent `other` instead"),
            ("outside", "the engine sent `outside` instead"),
        ] {
            let hostile = root(&[("out", Node::folder(0o755)), (path, Node::folder(0o755))]);
            assert_eq!(entry(&hostile, "out").unwrap_err(), said);
        }
        assert_eq!(
            entry(&Rootfs::new(), "out").unwrap_err(),
            "the engine sent nothing"
        );
        let pipe = Node::of(0o644, NodeKind::Fifo);
        let error = entry(&root(&[("out", pipe)]), "out").unwrap_err();
        assert_eq!(error, "`out` is a named pipe");
        let deep = format!("out{}", "/d".repeat(MAX_DEPTH));
        let error = entry(&root(&[(&deep, Node::folder(0o755))]), "out").unwrap_err();
        assert_eq!(error, "it is nested too deeply");
    }
}
