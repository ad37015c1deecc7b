//! The files of an export, which get their names when all of them are whole.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::File;
use lunikernel_cache::{HashingWriter, Progress};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::ExportError;
use crate::error::WriteError;
use crate::manifest::FileEntry;
use crate::output::{Existing, Output, OutputError, replaceable};

/// The files of an export.
pub(super) struct Files<'a> {
    folder: &'a Path,
    progress: &'a dyn Progress,
    /// What is whole and has no name yet.
    whole: BTreeMap<String, (Output, FileEntry)>,
}

impl<'a> Files<'a> {
    pub(super) fn new(folder: &'a Path, progress: &'a dyn Progress) -> Self {
        Self {
            folder,
            progress,
            whole: BTreeMap::new(),
        }
    }

    /// Where the file of that name will be.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file by `write`. Its entry is its SHA-256, where `entry` gives no other.
    pub(super) fn add(
        &mut self,
        name: &str,
        entry: Option<FileEntry>,
        write: impl FnOnce(&mut Output) -> Result<(), WriteError>,
    ) -> Result<(), ExportError> {
        self.put(name, |output, path| {
            write(output).map_err(ExportError::write(path))?;
            match entry {
                Some(entry) => Ok(entry),
                None => Ok(output.digest()?.into()),
            }
        })
    }

    /// Writes a file from front to back, and hashes it on the way.
    pub(super) fn add_stream(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut HashingWriter<&mut Output>) -> Result<(), WriteError>,
    ) -> Result<(), ExportError> {
        self.put(name, |output, path| {
            let mut output = HashingWriter::new(output);
            write(&mut output).map_err(ExportError::write(path))?;
            Ok(output.finish().1.into())
        })
    }

    fn put(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut Output, &Path) -> Result<FileEntry, ExportError>,
    ) -> Result<(), ExportError> {
        if self.whole.contains_key(name) {
            return Ok(());
        }
        let path = self.path(name);
        let task = self.progress.start("writing", name, None);
        let mut output = Output::create(&path, Existing::Replace)?;
        let entry = write(&mut output, &path)?;
        task.finish("");
        self.whole.insert(name.to_owned(), (output, entry));
        Ok(())
    }

    /// Writes a file that is in memory.
    pub(super) fn add_bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), ExportError> {
        self.add(name, None, |out| write_all(out, bytes))
    }

    /// Writes a program that is in memory.
    pub(super) fn add_program(&mut self, name: &str, bytes: &[u8]) -> Result<(), ExportError> {
        self.add(name, None, |out| {
            out.make_executable();
            write_all(out, bytes)
        })
    }

    /// What there is.
    pub(super) fn entries(&self) -> BTreeMap<String, FileEntry> {
        let entries = self.whole.iter();
        entries
            .map(|(name, (_, entry))| (name.clone(), *entry))
            .collect()
    }

    /// Writes `last` too, and all of them to the disk itself.
    pub(super) fn settle(mut self, last: &str, bytes: &[u8]) -> Result<Settled, ExportError> {
        let path = self.path(last);
        let mut manifest = Output::create(&path, Existing::Replace)?;
        write_all(&mut manifest, bytes).map_err(ExportError::write(&path))?;
        let task = self
            .progress
            .start("writing", "all of it to the disk", None);
        for (output, _) in self.whole.values_mut() {
            output.settle()?;
        }
        manifest.settle()?;
        task.finish("");
        Ok(Settled {
            folder: self.folder.to_owned(),
            files: (self.whole.into_iter())
                .map(|(name, (output, _))| (name, output))
                .collect(),
            last: (last.to_owned(), manifest),
        })
    }
}

/// Files that are on the disk, and lack nothing but their names.
#[derive(Debug)]
pub(super) struct Settled {
    folder: PathBuf,
    files: Vec<(String, Output)>,
    last: (String, Output),
}

impl Settled {
    /// Waits until nobody else names files in the folder, and keeps others from it.
    pub(super) fn claim(&self, progress: &dyn Progress) -> Result<Option<Claim>, ExportError> {
        let failed = |source: io::Error| OutputError::Io {
            attempted: "lock",
            path: self.folder.clone(),
            source,
        };
        let folder = File::open(&self.folder).map_err(failed)?;
        let mut how = FlockOperation::NonBlockingLockExclusive;
        loop {
            match flock(&folder, how) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => {
                    // At once, also where only what is done has a line.
                    let shown = self.folder.display();
                    progress.note(&format!("waiting for another export into {shown}"));
                    how = FlockOperation::LockExclusive;
                }
                // Not every file system has locks, and they are worth less than the files.
                Err(Errno::BADF | Errno::INVAL | Errno::NOLCK | Errno::NOSYS | Errno::NOTSUP) => {
                    return Ok(None);
                }
                Err(errno) => return Err(failed(errno.into()).into()),
            }
        }
        Ok(Some(Claim(folder)))
    }

    /// Gives all of them their names. The manifest that is there goes first and the new one
    /// comes last: where there is one, the files are those that it names.
    pub(super) fn name(self) -> Result<Vec<PathBuf>, ExportError> {
        let (last, manifest) = self.last;
        let last = self.folder.join(last);
        let path = |name: &str| self.folder.join(name);
        // What can be found out beforehand must not be met with half of the files named.
        for (name, _) in &self.files {
            replaceable(&path(name))?;
        }
        replaceable(&last)?;
        match fs::remove_file(&last) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ExportError::Output(OutputError::Io {
                    attempted: "replace",
                    path: last,
                    source: error,
                }));
            }
            _ => {}
        }
        let mut paths = Vec::new();
        for (name, output) in self.files {
            output.commit()?;
            paths.push(self.folder.join(name));
        }
        manifest.commit()?;
        paths.push(last);
        Ok(paths)
    }
}

/// That nobody else names files in a folder, as long as this is there: a lock on the folder,
/// by flock(2).
#[derive(Debug)]
pub(super) struct Claim(#[expect(dead_code, reason = "it is there to be closed")] File);

fn write_all(out: &mut Output, bytes: &[u8]) -> Result<(), WriteError> {
    out.write_all(bytes).map_err(WriteError::write("text"))
}
