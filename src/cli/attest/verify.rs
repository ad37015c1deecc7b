//! `luni attest verify`: whether enough of those whom one trusts vouch for the same.

use std::path::PathBuf;

use lunikernel_builder::attest::{
    self, Agreement, Attestation, Policy, PublicKey, Subject, TrustedKey, agree,
};

use crate::cli::Context;
use crate::exit::Exit;
use crate::failure::Failure;

const EXAMPLES: &str = "Examples:
  luni attest verify hello.json --key farm.pub --artefact hello.luni.zip
      whether farm vouches for this very file
  luni attest verify a.json b.json c.json --policy policy.yaml --artefact hello.luni.zip
      whether as many as the policy asks for vouch for it, and nobody objects";

/// Check who vouches for an artefact.
///
/// Enough different keys have to sign a provenance, or a verdict that is GOOD, of the same
/// digest: all that are named by `--key`, as many as `--threshold` says, or as a policy
/// says. That of the artefact is compared too. One of them that names another digest, or
/// says DIFFERS, is a contradiction, however many others agree. Exit code 0 says that
/// they agree, 12 that too few do, 13 that there is a contradiction.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// What `luni attest sign` wrote, or another program for DSSE
    #[arg(value_name = "ENVELOPE", required = true)]
    envelopes: Vec<PathBuf>,

    /// A public key that is trusted; may be given several times
    #[arg(long, value_name = "FILE", required_unless_present = "policy")]
    key: Vec<PathBuf>,

    /// How many of the keys have to agree [default: all]
    #[arg(long, value_name = "N", requires = "key")]
    threshold: Option<u16>,

    /// Who is trusted and how many have to agree: a YAML file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "threshold"])]
    policy: Option<PathBuf>,

    /// The artefact that it is to be about
    #[arg(long, value_name = "FILE")]
    artefact: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let policy = policy(args)?;
    let attestations = args.envelopes.iter().map(|file| Attestation::read(file));
    let attestations: Vec<Attestation> = attestations.collect::<Result<_, _>>()?;
    let artefact = match &args.artefact {
        None => None,
        Some(file) => Some(Subject {
            name: file.display().to_string(),
            sha256: attest::digest_of(file)?.sha256,
        }),
    };
    let agreement = agree(&policy, &attestations, artefact.as_ref())?;
    if context.json() {
        context.print_json(&agreement)?;
        return Ok(Exit::Ok);
    }
    context.print(&text(&agreement))?;
    if artefact.is_none() {
        context.say("note: no file was compared with it\nhint: name it with `--artefact FILE`");
    }
    Ok(Exit::Ok)
}

fn policy(args: &Args) -> Result<Policy, Failure> {
    if let Some(policy) = &args.policy {
        return Ok(Policy::read(policy)?);
    }
    let mut keys = Vec::new();
    for file in &args.key {
        keys.push(TrustedKey {
            name: file.display().to_string(),
            key: PublicKey::read(file)?,
        });
    }
    Ok(Policy::of_keys(keys, args.threshold.map(usize::from))?)
}

fn text(agreement: &Agreement) -> String {
    let mut text = format!("{}\n", agreement.sha256);
    for said in &agreement.said {
        text += &format!("  {said}\n");
    }
    for ignored in &agreement.ignored {
        text += &format!("  ignored {ignored}\n");
    }
    let Agreement {
        vouching,
        threshold,
        ..
    } = agreement;
    text + &format!("vouched for by {vouching} of at least {threshold} keys\n")
}
