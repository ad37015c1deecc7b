//! Another kernel release in /proc.

use std::io;

use fs_err as fs;
use rustix::mount::{MountFlags, UnmountFlags};

/// Where the files are made that cover those of /proc; it is put back.
const PLACE: &str = "/tmp";

/// Covers what says the release in this process's /proc by files that say another.
pub(super) fn cover(release: &str) -> io::Result<()> {
    let version = fs::read_to_string("/proc/version")?;
    let mut words: Vec<&str> = version.split(' ').collect();
    // "Linux version RELEASE (builder) …"
    if let Some(word) = words.get_mut(2) {
        *word = release;
    }
    let files = [
        ("version", "/proc/version", words.join(" ")),
        (
            "osrelease",
            "/proc/sys/kernel/osrelease",
            format!("{release}\n"),
        ),
    ];
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("tmpfs", PLACE, "tmpfs", flags, c"mode=0755,size=64k")?;
    let covered = files.iter().try_for_each(|(name, covered, content)| {
        let file = format!("{PLACE}/{name}");
        fs::write(&file, content)?;
        rustix::mount::mount_bind(&file, *covered)?;
        let flags = flags | MountFlags::BIND | MountFlags::RDONLY;
        Ok(rustix::mount::mount_remount(*covered, flags, c"")?)
    });
    rustix::mount::unmount(PLACE, UnmountFlags::DETACH)?;
    covered
}
