use std::io;

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
