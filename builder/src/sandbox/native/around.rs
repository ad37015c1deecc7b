//! What pid 1 sets up around the command, and what of it cannot be had.

use std::io;

use fs_err as fs;

use super::spec::Trouble;
use crate::sandbox::{Facet, Surroundings, Unable};

/// Sets the names of the machine.
pub(super) fn set_names(around: &Surroundings) -> Result<(), Trouble> {
    rustix::system::sethostname(around.hostname.as_bytes())
        .map_err(Trouble::at("set the host name"))?;
    rustix::system::setdomainname(around.domainname.as_bytes())
        .map_err(Trouble::at("set the domain name"))
}

/// Sets whether programs that start from now on lie at random addresses. Returns what of
/// the surroundings cannot be had.
pub(super) fn set_up(around: &Surroundings) -> Vec<Unable> {
    let addresses = set_addresses(around.random_addresses);
    addresses.into_iter().chain(processors(around)).collect()
}

/// Programs that this process starts inherit it.
fn set_addresses(random: bool) -> Option<Unable> {
    const ASK: libc::c_ulong = 0xffff_ffff;
    let unable = |why: String| {
        let facet = Facet::Addresses;
        Some(Unable { facet, why })
    };
    // SAFETY: the call takes a number, and changes how programs start, not this one.
    let before = unsafe { libc::personality(ASK) };
    let fixed = libc::ADDR_NO_RANDOMIZE;
    let wanted = if random {
        before & !fixed
    } else {
        before | fixed
    };
    // SAFETY: as above.
    if before < 0 || unsafe { libc::personality(libc::c_ulong::from(wanted.cast_unsigned())) } < 0 {
        let error = io::Error::last_os_error();
        return unable(format!("this machine forbids personality(2): {error}"));
    }
    let off = fs::read_to_string("/proc/sys/kernel/randomize_va_space")
        .is_ok_and(|setting| setting.trim() == "0");
    if random && off {
        return unable("random addresses are off here (kernel.randomize_va_space=0)".to_owned());
    }
    None
}

/// With no more processors than are asked for, restricting them changes nothing.
fn processors(around: &Surroundings) -> Option<Unable> {
    let wanted = around.cpus?;
    let available = rustix::thread::sched_getaffinity(None).ok()?.count();
    (available as usize <= wanted).then(|| Unable {
        facet: Facet::Cpus,
        why: format!("only {available} may be used here anyway"),
    })
}
