use std::io;

use lunikernel_builder::fetch::{Answer, Attempt};
use lunikernel_builder::lock::{LockError, SourceError};
use lunikernel_builder::source::apk::ApkSourceError;
use lunikernel_builder::source::deb::DebError;
use lunikernel_builder::source::git::GitError;
use lunikernel_builder::source::krate::CrateError;
use lunikernel_builder::source::oci::OciError;
use lunikernel_builder::source::tcz::TczError;
use lunikernel_builder::source::url::UrlError;

use super::*;
use crate::failure::Failure;

fn setup() -> SandboxError {
    SandboxError::Setup {
        attempted: "make a user namespace".to_owned(),
        source: io::Error::from_raw_os_error(28),
        hint: Some("turn them on".to_owned()),
    }
}

#[test]
fn what_comes_of_the_machine_points_to_the_doctor() {
    let nowhere = VerifyError::Build {
        round: 1,
        source: Box::new(BuildError::Sandbox(setup())),
    };
    let program = "qemu-system-x86_64";
    let full = || CacheError::Io {
        attempted: "write a blob",
        source: ErrorKind::StorageFull.into(),
    };
    let moment = "Thu, 01 Jan 2026 00:00:00 UTC".to_owned();
    let expired = || DebError::Expired {
        url: Box::new("http://localhost/InRelease".parse().unwrap()),
        valid_until: moment.clone(),
        now: moment.clone(),
    };
    let locking = LockError::Source {
        source_name: "base".to_owned(),
        source: Box::new(SourceError::Deb(expired())),
    };
    let trial = VerifyError::Trial(Box::new(BuildError::Sandbox(setup())));
    for failure in [
        Failure::from(full()),
        Failure::from(BuildError::Cache(full())),
        Failure::from(expired()),
        Failure::from(locking),
        Failure::from(trial),
        Failure::from(VerifyError::Prepare("no engine".to_owned())),
        Failure::from(BootError::NoQemu { program }),
        Failure::from(setup()),
        Failure::from(nowhere),
    ] {
        let hint = failure.hint().unwrap_or_default();
        assert!(hint.contains("`luni doctor` shows"), "{hint}");
    }
    let refused = |kind: ErrorKind| CacheError::Io {
        attempted: "write a blob",
        source: kind.into(),
    };
    for other in [
        Failure::from(BootError::PortTaken { port: 1 }),
        Failure::from(refused(ErrorKind::PermissionDenied)),
    ] {
        assert!(!other.hint().unwrap_or_default().contains("doctor"));
    }
}

/// What every kind of source says where there is no network.
fn without_a_network() -> Vec<SourceError> {
    let unreachable = || {
        FetchError::Failed(Attempt {
            place: "http://localhost/".to_owned(),
            answer: Answer::Unreachable("no such host".to_owned()),
            tries: 1,
        })
    };
    let url = || "http://localhost/".parse().unwrap();
    vec![
        DebError::Fetch {
            url: Box::new(url()),
            source: Box::new(unreachable()),
        }
        .into(),
        ApkSourceError::Package {
            package: "p".to_owned(),
            why: Vec::new(),
            source: Box::new(unreachable()),
        }
        .into(),
        GitError::Fetch(unreachable()).into(),
        CrateError::Fetch(unreachable()).into(),
        OciError::Fetch(unreachable()).into(),
        TczError::Fetch(unreachable()).into(),
        UrlError::Fetch(unreachable()).into(),
        SourceError::Fetch(unreachable()),
    ]
}

#[test]
fn a_network_that_is_not_there_is_the_machines_for_every_source() {
    for source in without_a_network() {
        let failure = Failure::from(LockError::Source {
            source_name: "s".to_owned(),
            source: Box::new(source),
        });
        let hint = failure.hint().unwrap_or_default();
        assert!(hint.contains("`luni doctor` shows"), "{failure:?}");
        assert_eq!(failure.exit(), Exit::Unavailable);
    }
}

#[test]
fn what_a_recipe_names_and_is_not_there_is_the_recipes_fault() {
    for (error, exit) in [
        (
            TczError::Missing {
                file: "a.tcz".to_owned(),
                by: None,
                mirror: "file:///m/".to_owned(),
            },
            Exit::BadInput,
        ),
        (
            TczError::Kernel {
                name: "a-KERNEL.tcz".to_owned(),
                by: None,
            },
            Exit::BadInput,
        ),
        (
            TczError::Sum {
                file: "a.tcz.md5.txt".to_owned(),
            },
            Exit::Unavailable,
        ),
    ] {
        let failure = Failure::from(LockError::Source {
            source_name: "s".to_owned(),
            source: Box::new(error.into()),
        });
        assert_eq!(failure.exit(), exit, "{failure:?}");
    }
    let address = UrlError::Address {
        url: "ftp:".to_owned(),
        why: "no".to_owned(),
    };
    assert_eq!(SourceError::from(address).exit(), Exit::BadInput);
}
