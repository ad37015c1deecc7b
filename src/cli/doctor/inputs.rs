//! Where inputs can be had.

use std::time::Duration;

use lunikernel_builder::archive::is_archive;
use lunikernel_builder::source::deb::AptConfig;

use super::super::{Context, workshop};
use super::{Finding, State};

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
            Ok(file) if mirror.scheme() == "file" && is_archive(&file) => {
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
fn answer(what: &'static str, mirror: &url::Url) -> Finding {
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
fn shown(mirror: &url::Url) -> String {
    let mut mirror = mirror.clone();
    let _ = mirror.set_username("");
    let _ = mirror.set_password(None);
    mirror.to_string()
}
