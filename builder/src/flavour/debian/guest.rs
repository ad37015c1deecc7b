//! The files of ours in a guest: its init, its users, its services.
//!
//! They lie below everything else: what packages and the recipe bring goes over them,
//! so that an author can replace any one of them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use lunikernel_cache::{Digest, Node, NodeKind};

use crate::recipe::{Recipe, Service, User};

pub(in crate::flavour) const INIT: &str = include_str!("guest/init");
pub(in crate::flavour) const SUPERVISE: &str = include_str!("guest/supervise");
const NETWORK: &str = include_str!("guest/network");
const DHCP: &str = include_str!("guest/dhcp");

/// The number that Linux gives to whoever has no number (`overflowuid`).
const NOBODY: u32 = 65534;

/// The group of terminals, as Debian numbers it; init mounts /dev/pts with it.
const TTY: u32 = 5;

/// The kernel accepts `__NEW_UTS_LEN` bytes and no more.
const MAX_HOSTNAME: usize = 63;

/// As `useradd` has it, so that names fit wherever tools expect them to.
const MAX_NAME: usize = 32;

/// A file, folder, link or device of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestFile {
    /// Its path below the root, without a leading slash.
    pub path: String,
    /// What it is.
    pub node: Node,
    /// The bytes that `node` names, if it is a file; otherwise empty.
    pub content: Vec<u8>,
}

/// A recipe asks for something that a guest cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    /// The recipe's name cannot be a host name.
    #[error("`{name}` cannot be the machine's host name: expected {expected}")]
    HostName {
        /// The recipe's name.
        name: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The version would not be one line.
    #[error("version {version:?} cannot be shown on the console: expected one line of text")]
    Version {
        /// The version.
        version: String,
    },
    /// Something about a user is not as it has to be.
    #[error("user `{user}` cannot be created: {why}")]
    User {
        /// The user's name.
        user: String,
        /// What is wrong.
        why: String,
    },
    /// Something about a service is not as it has to be.
    #[error("service `{service}` cannot be started: {why}")]
    Service {
        /// The service's name.
        service: String,
        /// What is wrong.
        why: String,
    },
}

impl GuestError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::HostName { .. } => Some(format!(
                "use lower-case letters, digits and `-` in `name`, {MAX_HOSTNAME} of them at most"
            )),
            Self::Version { .. } => Some("write `version` as in `1.0.0`".to_owned()),
            Self::User { .. } | Self::Service { .. } => None,
        }
    }
}

/// The files of ours in the guest that `recipe` describes.
///
/// # Errors
/// [`GuestError`] where a name, a number or a command cannot be written down such
/// that the guest reads it back as it was meant.
pub fn guest_files(recipe: &Recipe) -> Result<Vec<GuestFile>, GuestError> {
    check_host_name(&recipe.name)?;
    if recipe.version.chars().any(char::is_control) {
        return Err(GuestError::Version {
            version: recipe.version.clone(),
        });
    }
    let users = &recipe.rootfs.users;
    check_users(users)?;

    let mut files = skeleton();
    files.extend([
        file("etc/hostname", 0o644, format!("{}\n", recipe.name)),
        file("etc/hosts", 0o644, hosts(&recipe.name)),
        file("etc/passwd", 0o644, passwd(users)),
        file("etc/group", 0o644, group(users)),
        file(
            "etc/luni/name",
            0o644,
            format!("{} {}\n", recipe.name, recipe.version),
        ),
    ]);
    if recipe.boot.net {
        files.push(file("etc/luni/network", 0o644, "dhcp\n"));
    }
    let modules: String = recipe
        .kernel
        .modules()
        .iter()
        .filter(|name| *name != "cloud")
        .map(|name| format!("{name}\n"))
        .collect();
    if !modules.is_empty() {
        files.push(file("etc/modules", 0o644, modules));
    }
    for (name, service) in &recipe.rootfs.services {
        let script = service_script(name, service, users)?;
        files.push(file(&format!("etc/luni/services/{name}"), 0o755, script));
    }
    Ok(files)
}

/// What is the same in every guest.
fn skeleton() -> Vec<GuestFile> {
    // The kernel opens it for init before anything is mounted.
    let console = Node::of(0o600, NodeKind::CharDevice { major: 5, minor: 1 });
    vec![
        other("dev/console", console),
        other("dev", Node::folder(0o755)),
        other("proc", Node::folder(0o555)),
        other("root", Node::folder(0o700)),
        other("run", Node::folder(0o755)),
        other("sys", Node::folder(0o555)),
        other("tmp", Node::folder(0o1777)),
        // Scripts begin with its name; the other applets are linked when booting,
        // for busybox itself knows best which it has.
        other("bin/sh", Node::symlink("busybox")),
        other("etc/resolv.conf", Node::symlink("/run/luni/resolv.conf")),
        other("etc/luni/services", Node::folder(0o755)),
        file("init", 0o755, INIT),
        file("usr/lib/luni/dhcp", 0o755, DHCP),
        file("usr/lib/luni/network", 0o755, NETWORK),
        file("usr/lib/luni/supervise", 0o755, SUPERVISE),
    ]
}

pub(in crate::flavour) fn file(path: &str, mode: u32, content: impl Into<Vec<u8>>) -> GuestFile {
    let content = content.into();
    GuestFile {
        path: path.to_owned(),
        node: Node::file(mode, Digest::of(&content)),
        content,
    }
}

fn other(path: &str, node: Node) -> GuestFile {
    GuestFile {
        path: path.to_owned(),
        node,
        content: Vec::new(),
    }
}

/// RFC 952 and RFC 1123 §2.1: letters, digits and hyphens, no hyphen at either end.
pub(in crate::flavour) fn check_host_name(name: &str) -> Result<(), GuestError> {
    let expected = if name.is_empty() {
        "at least one character"
    } else if name.len() > MAX_HOSTNAME {
        "at most 63 characters"
    } else if !name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        "lower-case letters, digits and `-` only"
    } else if name.starts_with('-') || name.ends_with('-') {
        "no `-` at its beginning or end"
    } else {
        return Ok(());
    };
    Err(GuestError::HostName {
        name: name.to_owned(),
        expected,
    })
}

fn hosts(name: &str) -> String {
    format!("127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost ip6-loopback\n")
}

pub(in crate::flavour) fn check_users(users: &[User]) -> Result<(), GuestError> {
    let mut names = BTreeSet::from(["root", "tty", "nobody", "nogroup"]);
    let mut numbers = BTreeSet::from([0, TTY, NOBODY, u32::MAX]);
    for user in users {
        let refuse = |why: String| {
            Err(GuestError::User {
                user: user.name.clone(),
                why,
            })
        };
        if !is_name(&user.name) {
            return refuse(format!(
                "its name has to be 1 to {MAX_NAME} lower-case letters, digits, `-` and `_`, \
                 beginning with a letter or `_`"
            ));
        }
        if !names.insert(&user.name) {
            return refuse("there is already a user or group of that name".to_owned());
        }
        if !numbers.insert(user.uid) {
            return refuse(format!("uid {} is another user's or reserved", user.uid));
        }
        if !user.home.starts_with('/') || user.home.contains(|c: char| c == ':' || c.is_control()) {
            return refuse(format!(
                "its home {:?} has to be an absolute path without `:`",
                user.home
            ));
        }
    }
    Ok(())
}

/// Whether a user or a service may be called that.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// See passwd(5). There is no shadow file, so nobody can log in with a password.
fn passwd(users: &[User]) -> String {
    let mut text = String::from("root:x:0:0:root:/root:/bin/sh\n");
    for User { name, uid, home } in users {
        let _ = writeln!(text, "{name}:x:{uid}:{uid}:{name}:{home}:/bin/false");
    }
    let _ = writeln!(
        text,
        "nobody:x:{NOBODY}:{NOBODY}:nobody:/nonexistent:/bin/false"
    );
    text
}

/// See group(5).
fn group(users: &[User]) -> String {
    let mut text = format!("root:x:0:\ntty:x:{TTY}:\n");
    for User { name, uid, .. } in users {
        let _ = writeln!(text, "{name}:x:{uid}:");
    }
    let _ = writeln!(text, "nogroup:x:{NOBODY}:");
    text
}

/// Whether a service can be written down such that a guest reads it as it was meant.
///
/// # Errors
/// [`GuestError::Service`] where it cannot.
pub(in crate::flavour) fn check_service(
    name: &str,
    service: &Service,
    users: &[User],
) -> Result<(), GuestError> {
    service_script(name, service, users).map(drop)
}

/// A script that becomes the service, as its user.
pub(in crate::flavour) fn service_script(
    name: &str,
    service: &Service,
    users: &[User],
) -> Result<String, GuestError> {
    let refuse = |why: String| {
        Err(GuestError::Service {
            service: name.to_owned(),
            why,
        })
    };
    if !is_name(name) {
        return refuse(format!(
            "its name has to be 1 to {MAX_NAME} lower-case letters, digits, `-` and `_`, \
             beginning with a letter or `_`"
        ));
    }
    let Some((program, arguments)) = service.command.split_first() else {
        return refuse("its command is empty".to_owned());
    };
    if !program.starts_with('/') {
        return refuse(format!(
            "its program `{program}` is not named by its absolute path"
        ));
    }
    let home = match service.user.as_str() {
        "root" => "/root",
        "nobody" => "/nonexistent",
        user => match users.iter().find(|known| known.name == user) {
            Some(known) => &known.home,
            None => return refuse(format!("the recipe has no user `{user}`")),
        },
    };

    let mut text = format!("#!/bin/busybox sh\n# The service `{name}`.\n");
    let _ = writeln!(text, "export HOME={} USER={}", quote(home), service.user);
    for (variable, value) in &service.env {
        let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
        if !variable.bytes().next().is_some_and(letter)
            || !variable.bytes().all(|b| letter(b) || b.is_ascii_digit())
        {
            return refuse(format!(
                "{variable:?} is no name of an environment variable"
            ));
        }
        let _ = writeln!(text, "export {variable}={}", quote(value));
    }
    // start-stop-daemon takes a pid file that never is for "it does not run yet".
    // root needs no change of user, and then nothing stands between it and its program.
    let mut line = match service.user.as_str() {
        "root" => format!("exec {}", quote(program)),
        user => format!(
            "exec busybox start-stop-daemon -S -p /run/luni/none -c {user} -x {} --",
            quote(program)
        ),
    };
    for argument in arguments {
        line.push(' ');
        line.push_str(&quote(argument));
    }
    text.push_str(&line);
    text.push('\n');
    if text.contains('\0') {
        return refuse("its command or environment contains a NUL character".to_owned());
    }
    Ok(text)
}

/// One word for a shell, whatever is in it: POSIX XCU §2.2.2.
pub(in crate::flavour) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
