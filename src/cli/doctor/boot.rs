//! What Lunikernels can be booted with.

use std::path::{Path, PathBuf};

use lunikernel_builder::boot::{self, BootError};

use super::super::Context;
use super::{Finding, State};

const KVM: &str = "KVM";

pub(super) fn all(kernel: Option<&Path>, context: &Context) -> Vec<Finding> {
    let what = "QEMU";
    let qemu = match boot::find_qemu() {
        Ok(qemu) => qemu,
        Err(error) => {
            let mut found = Finding::gap(what, State::Limited, error.to_string());
            found.mend = error.hint();
            return vec![found];
        }
    };
    vec![
        Finding::works(what, qemu.display().to_string()),
        kvm(kernel, context),
    ]
}

fn kvm(kernel: Option<&Path>, context: &Context) -> Finding {
    let device = fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm");
    if let Err(error) = device {
        let found = Finding::gap(
            KVM,
            State::Limited,
            format!("{error}: Lunikernels boot in emulation, more slowly"),
        );
        return match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                found.mended_by("sudo usermod -aG kvm $USER, then log in anew")
            }
            _ => found,
        };
    }
    let Some(kernel) = kernel.map(Path::to_owned).or_else(newest_kernel) else {
        return Finding::gap(
            KVM,
            State::Unknown,
            "/dev/kvm is there; whether a kernel boots was not tried, as none can be read in /boot",
        )
        .mended_by("name one with `luni doctor --kernel FILE`; `luni run` tries by itself");
    };
    let tried = context
        .cache_folder()
        .map_err(|failure| failure.in_one_line())
        .and_then(|cache| match boot::probe_kvm(&kernel, &cache) {
            Ok(()) => Ok(()),
            Err(BootError::NoKvm { why }) => Err(why),
            Err(error) => Err(error.to_string()),
        });
    match tried {
        Ok(()) => Finding::works(KVM, format!("booted {}", kernel.display())),
        Err(why) => Finding::gap(
            KVM,
            State::Limited,
            format!("/dev/kvm is there, but {why}: Lunikernels boot in emulation, more slowly"),
        ),
    }
}

/// The kernel in /boot whose name sorts last among those that may be read.
fn newest_kernel() -> Option<PathBuf> {
    let entries = fs_err::read_dir("/boot").ok()?;
    let mut kernels: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("vmlinuz")) && fs_err::File::open(path).is_ok()
        })
        .collect();
    kernels.sort();
    kernels.pop()
}
