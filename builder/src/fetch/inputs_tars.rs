//! Mirrors that are one file: `file:///PATH/inputs.tar`.

use std::collections::BTreeMap;
use std::io::{self, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use fs_err::File;
use lunikernel_cache::Sha256;
use lunikernel_cache::regular::open_regular;

use super::error::Answer;
use crate::inputs_tar::{BLOBS, InputsTar};

/// The archives whose headers were read, or why they could not be.
#[derive(Debug, Default)]
pub(super) struct InputsTars {
    read: Arc<Mutex<BTreeMap<PathBuf, Read>>>,
}

type Read = Result<Arc<InputsTar>, String>;

/// A file in an archive: the archive, open where the file begins, and how long it is.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) file: File,
    pub(super) size: u64,
}

impl InputsTars {
    /// Opens `ARCHIVE/sha256/HEX`.
    pub(super) async fn open(&self, path: PathBuf) -> Result<Part, Answer> {
        let read = Arc::clone(&self.read);
        tokio::task::spawn_blocking(move || open(&read, &path))
            .await
            .unwrap_or_else(|error| Err(Answer::Unusable(error.to_string())))
    }
}

fn open(read: &Mutex<BTreeMap<PathBuf, Read>>, path: &Path) -> Result<Part, Answer> {
    let (archive, sha256) = apart(path).ok_or(Answer::NotThere)?;
    let known = {
        // Whoever comes second waits here: the headers are read once.
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        read.entry(archive.to_owned())
            .or_insert_with(|| {
                let opened = InputsTar::open(archive).map(Arc::new);
                opened.map_err(|error| error.to_string())
            })
            .clone()
    };
    let span = known.map_err(Answer::Unusable)?.find(&sha256);
    let span = span.ok_or(Answer::NotThere)?;
    let opened = open_regular(archive).and_then(|mut file| {
        file.seek(SeekFrom::Start(span.offset))?;
        Ok(file)
    });
    let unusable = |error: io::Error| Answer::Unusable(format!("it cannot be read: {error}"));
    Ok(Part {
        file: opened.map_err(unusable)?,
        size: span.size,
    })
}

/// The archive and the SHA-256 in `ARCHIVE/sha256/HEX`.
fn apart(path: &Path) -> Option<(&Path, Sha256)> {
    let sha256 = Sha256::of_file_name(path.file_name()?.to_str()?)?;
    let folder = path.parent().filter(|folder| folder.ends_with(BLOBS))?;
    Some((folder.parent()?, sha256))
}
