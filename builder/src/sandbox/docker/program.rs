//! This program, made ready to be pid 1 of a container that has nothing else.
//!
//! The container has no C library, or another one. So the program's own libraries
//! and their linker go with it, into one folder.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use object::Endianness;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use crate::sandbox::native::contained::{FOLDER, NAME};

/// The linker's name in the folder. It takes the place of the usual one in the program,
/// and so must not be longer.
const LINKER: &str = "ld";

/// The program, and what it needs, by name.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

impl Program {
    /// Takes the program at `path` with the libraries that it has here.
    ///
    /// # Errors
    /// What the operating system says; [`io::ErrorKind::InvalidData`] for what is no
    /// program of this machine's kind.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        let mut program = fs::read(path)?;
        let loaded = Loaded::read(&program)?;
        let mut files = BTreeMap::new();
        if let Some((start, length)) = loaded.linker {
            let end = start.saturating_add(length);
            let place = program.get_mut(start..end).ok_or_else(invalid)?;
            let usual = String::from_utf8_lossy(place);
            let usual = PathBuf::from(usual.trim_end_matches('\0'));
            let ours = format!("{FOLDER}/{LINKER}\0");
            if ours.len() > place.len() {
                return Err(io::Error::other(format!(
                    "the program's linker is {}, too short a name to be replaced",
                    usual.display()
                )));
            }
            place.fill(0);
            place
                .iter_mut()
                .zip(ours.bytes())
                .for_each(|(to, from)| *to = from);
            let usual = fs::canonicalize(usual)?;
            files.insert(LINKER.to_owned(), fs::read(&usual)?);
            for (name, library) in libraries(&usual, path)? {
                files.insert(name, fs::read(&library)?);
            }
        }
        program.truncate(loaded.end);
        forget_sections(&mut program);
        files.insert(NAME.to_owned(), program);
        Ok(Self { files })
    }
}

fn invalid() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "it is no program of this machine's kind",
    )
}

/// What of a program the kernel looks at.
struct Loaded {
    /// Where the last of it ends in the file. Behind that are symbols and what debuggers
    /// need, often most of the file.
    end: usize,
    /// Where the name of its linker is, for one that needs one.
    linker: Option<(usize, usize)>,
}

impl Loaded {
    fn read(program: &[u8]) -> io::Result<Self> {
        let header = FileHeader64::<Endianness>::parse(program).map_err(|_| invalid())?;
        let endian = header.endian().map_err(|_| invalid())?;
        let segments = header
            .program_headers(endian, program)
            .map_err(|_| invalid())?;
        let (mut end, mut linker) = (0, None);
        for segment in segments {
            let (start, length) = segment.file_range(endian);
            let stop = usize::try_from(start.saturating_add(length)).map_err(|_| invalid())?;
            if stop > program.len() {
                return Err(invalid());
            }
            match segment.p_type(endian) {
                elf::PT_LOAD => end = end.max(stop),
                elf::PT_INTERP => {
                    let start = usize::try_from(start).map_err(|_| invalid())?;
                    linker = Some((start, stop - start));
                }
                _ => {}
            }
        }
        Ok(Self { end, linker })
    }
}

/// The libraries that `program` needs, by the names that it asks for, as its linker
/// finds them here.
fn libraries(linker: &Path, program: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    // To another process, this program is not its own.
    let program = if program == Path::new("/proc/self/exe") {
        PathBuf::from(format!("/proc/{}/exe", std::process::id()))
    } else {
        program.to_owned()
    };
    let listed = Command::new(linker).arg("--list").arg(&program).output()?;
    if !listed.status.success() {
        return Err(io::Error::other(format!(
            "{} does not say which libraries it needs: {}",
            program.display(),
            String::from_utf8_lossy(&listed.stderr).trim()
        )));
    }
    // `libc.so.6 => /lib/libc.so.6 (0x00007f…)`; the linker itself has no arrow.
    let text = String::from_utf8_lossy(&listed.stdout);
    let found = text.lines().filter_map(|line| {
        let (name, place) = line.trim().split_once(" => ")?;
        let (path, _) = place.rsplit_once(" (")?;
        lunikernel_cache::tree::is_name(name).then(|| (name.to_owned(), PathBuf::from(path)))
    });
    Ok(found.collect())
}

/// Takes out of the header what it says of sections, which are cut off.
fn forget_sections(program: &mut [u8]) {
    // e_shoff; e_shentsize, e_shnum, e_shstrndx (ELF-64 Object File Format, figure 3).
    for range in [0x28..0x30, 0x3a..0x40] {
        if let Some(field) = program.get_mut(range) {
            field.fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_program_runs_from_its_folder() {
        let exe = std::env::current_exe().unwrap();
        let program = Program::take(&exe).unwrap();
        let whole = fs::metadata(&exe).unwrap().len();
        let cut = &program.files[NAME];
        assert!((cut.len() as u64) < whole);
        // Where nothing is at the linker's new place, name it.
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in &program.files {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&path, mode).unwrap();
        }
        let output = Command::new(folder.path().join(LINKER))
            .arg(folder.path().join(NAME))
            .args(["--exact", "no such test"])
            .env_clear()
            .env("LD_LIBRARY_PATH", folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("0 passed"), "{output:?}");
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for content in [&b""[..], b"#!/bin/sh\n", b"\x7fELF\x02\x01\x01"] {
            let path = folder.path().join("program");
            fs::write(&path, content).unwrap();
            let error = Program::take(&path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }
}
