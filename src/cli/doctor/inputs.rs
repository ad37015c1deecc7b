//! Where inputs can be had.

use std::time::Duration;

use lunikernel_builder::fetch::{FetchOptions, Fetcher};
use lunikernel_builder::inputs_tar::is_inputs_tar;
use lunikernel_builder::source::deb::AptConfig;
use url::Url;

use super::super::{Context, workshop};
use super::{Finding, State};
use crate::failure::Failure;

/// How long a mirror may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The machine's own sources of packages.
pub(super) fn packages() -> Vec<Finding> {
    let what = "Debian packages";
    let root = workshop::apt_root();
    let found = match AptConfig::read(&root) {
        Ok(apt) if apt.entries.is_empty() => {
            Finding::gap(what, State::Limited, "apt is configured with no suites").mended_by(
                "name a folder whose etc/apt has some with LUNI_APT_ROOT; recipes that are locked need only their mirrors",
            )
        }
        Ok(apt) => Finding::works(
            what,
            format!("apt is configured with {} suites", apt.entries.len()),
        ),
        Err(error) => {
            let mut found = Finding::gap(what, State::Limited, error.to_string());
            found.mend = error.hint();
            found
        }
    };
    vec![found]
}

/// The network, by asking a server that packages are fetched from: none is asked that is
/// not the machine's own choice.
pub(super) fn network(context: &Context) -> Finding {
    let what = "network";
    if context.offline() {
        return Finding::gap(what, State::Unknown, "not tried: `--offline`");
    }
    let apt = AptConfig::read(&workshop::apt_root()).unwrap_or_default();
    let mut servers: Vec<Url> = Vec::new();
    for entry in apt.entries {
        let is_known = |known: &Url| known.origin() == entry.uri.origin();
        if matches!(entry.uri.scheme(), "http" | "https") && !servers.iter().any(is_known) {
            servers.push(entry.uri);
        }
    }
    let Some(server) = servers.first() else {
        return Finding::gap(
            what,
            State::Unknown,
            "not tried: apt is configured with no server to ask",
        );
    };
    match reach(context, server) {
        Ok(()) => Finding::works(what, format!("{} answers", shown(server))),
        Err(failure) => {
            let mend = "see that this machine is connected; what is fetched already builds with `--offline`";
            Finding::gap(what, State::Limited, failure.in_one_line()).mended_by(mend)
        }
    }
}

/// Asks as fetching does, by the same proxies, but without its patience.
fn reach(context: &Context, server: &Url) -> Result<(), Failure> {
    let options = FetchOptions {
        connect_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        ..workshop::fetch_options(context)?
    };
    let fetcher = Fetcher::new(context.cache()?, options, context.progress())?;
    Ok(context.runtime()?.block_on(fetcher.reach(server))?)
}

/// The mirrors that were named.
pub(super) fn mirrors(context: &Context) -> Vec<Finding> {
    let what = "mirrors";
    let mirrors = match context.mirrors() {
        Ok(mirrors) => mirrors,
        Err(failure) => {
            return vec![
                Finding::gap(what, State::Limited, failure.in_one_line())
                    .mended_by("set LUNI_MIRRORS to addresses, separated by spaces"),
            ];
        }
    };
    if mirrors.is_empty() {
        return vec![Finding::works(
            what,
            "none named; inputs come from the places that locks record",
        )];
    }
    mirrors
        .iter()
        .map(|mirror| match mirror.to_file_path() {
            Ok(file) if mirror.scheme() == "file" && is_inputs_tar(&file) => {
                Finding::works(what, format!("{} is there", file.display()))
            }
            Ok(folder) if mirror.scheme() == "file" => match fs_err::read_dir(&folder) {
                Ok(_) => Finding::works(what, format!("{} is there", folder.display())),
                Err(error) => Finding::gap(what, State::Limited, error.to_string())
                    .mended_by("name another folder with `--mirror URL`"),
            },
            _ if context.offline() => {
                Finding::gap(what, State::Unknown, format!("{}: offline", shown(mirror)))
            }
            _ if matches!(mirror.scheme(), "s3" | "gs") => Finding::gap(
                what,
                State::Unknown,
                format!("{}: only fetching shows what a bucket has", shown(mirror)),
            ),
            _ => answer(what, mirror),
        })
        .collect()
}

/// Whether somebody answers at the mirror's address. What it has, fetching shows.
fn answer(what: &'static str, mirror: &Url) -> Finding {
    let place = shown(mirror);
    let addresses = mirror.socket_addrs(|| None);
    let tried = addresses.and_then(|addresses| {
        let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
        for address in addresses {
            match std::net::TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(_) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    });
    match tried {
        Ok(()) => Finding::works(what, format!("{place} answers")),
        Err(error) => Finding::gap(what, State::Limited, format!("{place}: {error}"))
            .mended_by("see that this machine is connected, or name another with `--mirror URL`"),
    }
}

/// An address without the password that may be in it.
fn shown(mirror: &Url) -> String {
    let mut mirror = mirror.clone();
    let _ = mirror.set_username("");
    let _ = mirror.set_password(None);
    mirror.to_string()
}
