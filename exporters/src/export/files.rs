//! The files of an export, which get their names when all of them are whole.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use lunikernel_cache::{HashingWriter, Progress};

use super::ExportError;
use crate::error::WriteError;
use crate::manifest::FileEntry;
use crate::output::{Existing, Output};

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

    /// Gives all of them their names, and `last` after them.
    pub(super) fn commit(self, last: &str, bytes: &[u8]) -> Result<Vec<PathBuf>, ExportError> {
        let path = self.folder.join(last);
        let mut output = Output::create(&path, Existing::Replace)?;
        write_all(&mut output, bytes).map_err(ExportError::write(&path))?;
        let mut paths = Vec::new();
        for (name, (output, _)) in self.whole {
            output.commit()?;
            paths.push(self.folder.join(name));
        }
        output.commit()?;
        paths.push(path);
        Ok(paths)
    }
}

fn write_all(out: &mut Output, bytes: &[u8]) -> Result<(), WriteError> {
    out.write_all(bytes).map_err(WriteError::write("text"))
}
