//! `luni attest keygen`: a pair of keys to sign with.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use lunikernel_builder::attest::{KeyId, PrivateKey};
use serde::Serialize;

use crate::cli::workshop::{program, quoted};
use crate::cli::{Context, output};
use crate::exit::Exit;
use crate::failure::Failure;

const EXAMPLES: &str = "Example:
  luni attest keygen farm        farm.key to sign with, farm.pub to give away";

/// Make a pair of keys to sign with.
///
/// Writes NAME.key, the private half, as PKCS#8 PEM that only you may read, and NAME.pub,
/// the public half, as SPKI PEM. What is there already is left alone.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// What to call them
    #[arg(value_name = "NAME")]
    name: PathBuf,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    keyid: KeyId,
    #[serde(serialize_with = "output::lossily")]
    private: PathBuf,
    #[serde(serialize_with = "output::lossily")]
    public: PathBuf,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let key = PrivateKey::generate()?;
    let with = |ending: &str| {
        let mut name = args.name.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let report = Report {
        keyid: key.public().id(),
        private: with(".key"),
        public: with(".pub"),
    };
    write_new(&report.private, 0o600, &key.to_pem()?)?;
    if let Err(failure) = write_new(&report.public, 0o644, &key.public().to_pem()?) {
        // Half a pair is of no use; what cannot be removed is still only a key of ours.
        let _ = fs::remove_file(&report.private);
        return Err(failure);
    }
    if context.json() {
        context.print_json(&report)?;
    } else {
        let (luni, private, public) = (program(), quoted(&report.private), quoted(&report.public));
        context.print(&format!(
            "key     {}\nprivate {private}, for you alone: keep it safe\n\
             public  {public}, for those who are to trust it\nnext:\n  \
             {luni} attest sign --key {private} ARTEFACT -o ENVELOPE\n",
            report.keyid
        ))?;
    }
    Ok(Exit::Ok)
}

/// Writes a file that must not be there yet.
fn write_new(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let create = || {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(mode);
        options.open(path)
    };
    let failed = |error: &io::Error| {
        let message = format!("could not write {}", path.display());
        Failure::new(Exit::Failed, message).caused_by(error)
    };
    let mut file = match create() {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let message = format!("{} is there already", path.display());
            return Err(Failure::new(Exit::BadInput, message)
                .with_hint("name another pair; a key that was lost cannot be made again"));
        }
        Err(error) => return Err(failed(&error)),
    };
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(|error| {
        let _ = fs::remove_file(path);
        failed(&error)
    })
}
