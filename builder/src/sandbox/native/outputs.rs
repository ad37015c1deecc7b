//! What a command made, taken into the store.

use std::os::fd::BorrowedFd;

use lunikernel_cache::checkout::{CaptureError, OutputBounds, capture};
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{BlobStore, CacheError, reapi};
use prost::Message as _;

use super::state::join;
use crate::sandbox::Failure;
use crate::sandbox::job::Job;

/// Takes every output that the job names from the folder `build`, and records it in
/// `result`. Nothing in the sandbox may be running any more.
pub(super) fn collect(
    blobs: &BlobStore,
    build: BorrowedFd<'_>,
    job: &Job,
    result: &mut reapi::ActionResult,
) -> Result<Option<Failure>, CacheError> {
    let below = job.below_build();
    let mut bounds = OutputBounds::default();
    for output in &job.outputs {
        match capture(blobs, build, &join(below, output), &mut bounds) {
            Ok(Some(entry)) => record(blobs, output, entry, result)?,
            Ok(None) => return Ok(Some(Failure::MissingOutput(output.clone()))),
            Err(CaptureError::Refused { path, why }) => {
                return Ok(Some(Failure::BadOutput { path, why }));
            }
            Err(CaptureError::Cache(error)) => return Err(error),
        }
    }
    Ok(None)
}

/// Records one output in `result`; a folder's messages go into the store.
pub(in crate::sandbox) fn record(
    blobs: &BlobStore,
    path: &str,
    entry: Entry,
    result: &mut reapi::ActionResult,
) -> Result<(), CacheError> {
    let path = path.to_owned();
    match entry {
        Entry::File { digest, executable } => result.output_files.push(reapi::OutputFile {
            path,
            digest: Some(digest.to_reapi()),
            is_executable: executable,
            ..Default::default()
        }),
        Entry::Symlink { target } => result.output_symlinks.push(reapi::OutputSymlink {
            path,
            target,
            ..Default::default()
        }),
        Entry::Folder(tree) => {
            let message = blobs.put(&tree.to_reapi().encode_to_vec())?;
            let root = tree.store(blobs)?;
            result.output_directories.push(reapi::OutputDirectory {
                path,
                tree_digest: Some(message.to_reapi()),
                is_topologically_sorted: false,
                root_directory_digest: Some(root.to_reapi()),
            });
        }
    }
    Ok(())
}
