//! `luni attest sign`: vouch for what was built, or for what verifying it came to.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use lunikernel_builder::attest::{
    self, AttestError, Attestation, Envelope, KeyId, LUNI, MAX_SIZE, Maker, PrivateKey, Report,
    Statement, Subject,
};
use lunikernel_cache::artefact::Artefact;
use lunikernel_cache::regular::read_bounded;
use serde::Serialize;
use url::Url;

use crate::cli::output::{Output, lossily};
use crate::cli::reads::Reads;
use crate::cli::verify::Named;
use crate::cli::workshop::{program, quoted};
use crate::cli::{Context, verify};
use crate::exit::Exit;
use crate::failure::Failure;

const EXAMPLES: &str = "Examples:
  luni attest sign --key farm.key hello.luni.zip -o hello.json
      that you built it, from the recipe, lock and inputs it names
  luni verify --json hello.luni.zip | luni attest sign --key farm.key --report - hello.luni.zip
      what verifying it came to, be it GOOD, DIFFERS or FAILED
  luni attest sign --key other.key --add hello.json hello.luni.zip -o hello.json
      the same, with a second signature";

/// Sign that you built an artefact, or what verifying it came to.
///
/// Without `--report` it signs a provenance (SLSA v1): that the Lunikernel was built from
/// the recipe, lock and inputs that it names. With it, it signs the verdict of a
/// verification. The same statement and key give the same bytes, whenever and wherever.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// What to sign a statement about: a Lunikernel, its address, or the first digits (at
    /// least 8) of the SHA-256 of one in the cache; with `--report` any file
    #[arg(value_name = "ARTEFACT")]
    artefact: PathBuf,

    /// The private key to sign with
    #[arg(long, value_name = "FILE")]
    key: PathBuf,

    /// What `luni verify-reproducibility --json` printed: a file, or - for standard input
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// An envelope with the same statement, to get one signature more
    #[arg(long, value_name = "ENVELOPE")]
    add: Option<PathBuf>,

    /// Where to write the envelope [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Who says it, for those who tell builders apart
    #[arg(long, value_name = "URI", default_value = LUNI, value_parser = uri)]
    builder_id: String,

    /// When it was done, such as 2026-01-31T12:00:00Z; left out unless given, because it
    /// makes the same statement different bytes
    #[arg(long, value_name = "TIME", value_parser = time)]
    time: Option<String>,
}

/// What `--json` prints where the envelope goes to a file.
#[derive(Debug, Serialize)]
struct Signed<'s> {
    #[serde(serialize_with = "lossily")]
    file: &'s Path,
    subject: &'s Subject,
    predicate_type: &'s str,
    keyid: KeyId,
    signatures: usize,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let output = match &args.output {
        Some(path) => {
            // An envelope that is added to may be replaced: nothing of it is lost.
            let reads = Reads::default()
                .and_named(&args.artefact)
                .and(&args.key)
                .and_all(args.report.as_ref().filter(|path| path.as_os_str() != "-"));
            Some(Output::new(
                path,
                "name another file to write with `-o FILE`",
                &reads,
            )?)
        }
        None => None,
    };
    let (key, exposed) = PrivateKey::read(&args.key)?;
    if exposed {
        let file = quoted(&args.key);
        context.say(&format!(
            "warning: others than you may read the private key\nhint: chmod 600 {file}"
        ));
    }
    let statement = statement(args, context)?;
    let envelope = match &args.add {
        Some(file) => Attestation::read(file)?.countersign(&statement, &key)?,
        None => {
            let mut envelope = Envelope::new(statement.to_canonical()?);
            envelope.sign(&key);
            envelope
        }
    };
    let bytes = envelope.to_bytes().map_err(|error| {
        Failure::new(Exit::Failed, "could not write the envelope").caused_by(&error)
    })?;
    let Some(output) = output else {
        context.print(&String::from_utf8_lossy(&bytes))?;
        return Ok(Exit::Ok);
    };
    output.write_whole(&bytes)?;
    let signed = Signed {
        file: output.path(),
        subject: &statement.subject,
        predicate_type: statement.predicate_type(),
        keyid: key.public().id(),
        signatures: envelope.signatures().len(),
    };
    if context.json() {
        context.print_json(&signed)?;
    } else {
        context.print(&text(args, &signed))?;
    }
    Ok(Exit::Ok)
}

/// What is to be signed.
fn statement(args: &Args, context: &Context) -> Result<Statement, Failure> {
    let maker = Maker {
        id: args.builder_id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: args.time.clone(),
    };
    let Named { path, digest } = verify::find(&args.artefact, context)?;
    let name = match digest {
        // What the cache has is called by its content; a Lunikernel has a name of its own.
        Some(digest) => match Artefact::open(&path) {
            Ok(artefact) => format!("{}.luni.zip", artefact.manifest().name),
            Err(_) => digest.hex(),
        },
        None => {
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.ok_or_else(|| {
                let message = format!("{} has no name to sign", path.display());
                Failure::new(Exit::BadInput, message)
                    .with_hint("rename it; a name is a text in UTF-8")
            })?;
            name.to_owned()
        }
    };
    let Some(report) = &args.report else {
        let artefact = verify::artefact(&args.artefact, context)?;
        let checked = artefact.check(context.progress().as_ref())?;
        let sha256 = checked.digest.sha256;
        return Ok(Statement::provenance(&artefact, name, sha256, &maker)?);
    };
    let report = read_report(report)?;
    let subject = Subject {
        name,
        sha256: attest::digest_of(&path)?.sha256,
    };
    Ok(report.verdict(subject, &maker)?)
}

fn read_report(path: &Path) -> Result<Report, Failure> {
    let from_stdin = path == Path::new("-");
    let bytes = if from_stdin {
        let mut bytes = Vec::new();
        let mut stdin = std::io::stdin().lock().take(MAX_SIZE + 1);
        stdin.read_to_end(&mut bytes).map(|_| bytes)
    } else {
        read_bounded(path, MAX_SIZE)
    };
    let bytes = bytes.map_err(|source| AttestError::Io {
        attempted: "read the report",
        source,
    })?;
    Ok(Report::parse(&bytes).map_err(|why| AttestError::Report {
        file: match from_stdin {
            true => "standard input".to_owned(),
            false => path.display().to_string(),
        },
        why,
    })?)
}

fn text(args: &Args, signed: &Signed<'_>) -> String {
    let luni = program();
    let (file, artefact) = (quoted(signed.file), quoted(&args.artefact));
    let public = quoted(&args.key.with_extension("pub"));
    format!(
        "signed  {} {}\nas      {}\nby      {}\nfile    {file}, signatures: {}\nnext:\n  \
         {luni} attest verify {file} --key {public} --artefact {artefact}\n",
        signed.subject.name,
        signed.subject.sha256,
        signed.predicate_type,
        signed.keyid,
        signed.signatures,
    )
}

fn uri(text: &str) -> Result<String, String> {
    match Url::parse(text) {
        Ok(_) if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err("expected a URI such as `https://farm.example/builder`".to_owned()),
    }
}

/// A time in UTC, in the one form of RFC 3339 that everything reads.
fn time(text: &str) -> Result<String, String> {
    let form = text.len() == 20
        && (text.bytes().zip(*b"0000-00-00T00:00:00Z")).all(|(is, form)| {
            if form == b'0' {
                is.is_ascii_digit()
            } else {
                is == form
            }
        });
    let within = |at: usize, range: std::ops::RangeInclusive<u8>| {
        let number = text.get(at..at + 2).and_then(|digits| digits.parse().ok());
        number.is_some_and(|number: u8| range.contains(&number))
    };
    let is_time = form
        && within(5, 1..=12)
        && within(8, 1..=31)
        && within(11, 0..=23)
        && within(14, 0..=59)
        && within(17, 0..=60);
    match is_time {
        true => Ok(text.to_owned()),
        false => Err("expected a time in UTC such as 2026-01-31T12:00:00Z".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_are_times() {
        assert!(time("2026-01-31T12:00:00Z").is_ok());
        for bad in [
            "2026-01-31",
            "2026-13-31T12:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31 12:00:00Z",
            "2026-01-31T12:00:00z",
            "2026-01-31T12:00:é",
            "2026-01-+1T12:00:00Z",
        ] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
