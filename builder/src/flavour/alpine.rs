//! The flavour `alpine`: Alpine's minirootfs or packages, and a kernel of Alpine's or of
//! anyone else.
//!
//! Where OpenRC is in the root, the system boots as Alpine does: busybox's init starts
//! OpenRC, and the recipe's services are services of OpenRC. Without it, which is how the
//! minirootfs comes, our own small init starts them, as it does for `debian`.

use std::fmt::Write as _;

use lunikernel_cache::{BlobStore, Digest, Node, NodeKind, Rootfs};

use super::debian::guest::{self, GuestError};
use super::{FlavourError, Linux, debian};
use crate::recipe::{Recipe, Service, User};

const OPENRC: &str = "sbin/openrc";

/// What hands over to Alpine's own init in a machine that runs from memory: the kernel
/// starts it as `/init` and has mounted nothing.
const INIT: &str = "#!/bin/busybox sh\n\
    busybox mount -t devtmpfs -o nosuid,mode=0755 dev /dev\n\
    busybox mount -t proc -o nosuid,nodev,noexec proc /proc\n\
    busybox mount -t sysfs -o nosuid,nodev,noexec sys /sys\n\
    exec /sbin/init <>/dev/console >&0 2>&1\n";

/// Services that OpenRC itself and Alpine's packages bring, by when they are started:
/// those that are there are switched on.
const RUNLEVELS: [(&str, &[&str]); 2] = [
    ("sysinit", &["devfs", "dmesg", "mdev", "hwdrivers"]),
    ("boot", &["modules", "sysctl", "hostname", "bootmisc"]),
];

/// The flavour `alpine`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alpine;

impl Linux for Alpine {
    fn guest(&self, recipe: &Recipe, blobs: &BlobStore) -> Result<Rootfs, FlavourError> {
        // The others run as users that packages make, and wait for those to be known.
        let mut recipe = recipe.clone();
        let users = &recipe.rootfs.users;
        let services = &mut recipe.rootfs.services;
        services.retain(|_, service| is_own(&service.user, users));
        debian::Debian.guest(&recipe, blobs)
    }

    fn makes_users(&self) -> bool {
        true
    }

    fn complete(
        &self,
        recipe: &Recipe,
        root: &mut Rootfs,
        blobs: &BlobStore,
    ) -> Result<(), FlavourError> {
        root.underlay(&self.guest(recipe, blobs)?)?;
        add_users(&recipe.rootfs.users, root, blobs)?;
        let users = service_users(recipe, root, blobs)?;
        let name = format!("{}\n", recipe.name);
        write(root, blobs, "etc/hostname", 0o644, name.as_bytes())?;
        if root.locate(OPENRC).and_then(|at| root.get(&at)).is_some() {
            with_openrc(recipe, &users, root, blobs)
        } else {
            for (name, service) in &recipe.rootfs.services {
                let path = format!("etc/luni/services/{name}");
                if !is_own(&service.user, &recipe.rootfs.users) && root.get(&path).is_none() {
                    let script = guest::service_script(name, service, &users)?;
                    write(root, blobs, &path, 0o755, script.as_bytes())?;
                }
            }
            // It starts OpenRC, and our init would take it for the recipe's own.
            root.remove("etc/inittab");
            with_own_init(root, blobs)
        }
    }
}

/// Whether a user is there without the packages.
fn is_own(user: &str, users: &[User]) -> bool {
    ["root", "nobody"].contains(&user) || users.iter().any(|known| known.name == user)
}

/// The recipe's users, and those of `root` that its services run as.
fn service_users(
    recipe: &Recipe,
    root: &Rootfs,
    blobs: &BlobStore,
) -> Result<Vec<User>, FlavourError> {
    let mut users = recipe.rootfs.users.clone();
    let passwd = read(root, blobs, "etc/passwd")?.unwrap_or_default();
    for (name, Service { user, .. }) in &recipe.rootfs.services {
        if is_own(user, &users) {
            continue;
        }
        let found = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_it = fields.next() == Some(user) && guest::is_name(user);
            let uid = fields.nth(1)?.parse().ok()?;
            let home = fields.nth(2)?.to_owned();
            let name = user.clone();
            is_it.then_some(User { name, uid, home })
        });
        users.push(found.ok_or_else(|| GuestError::Service {
            service: name.clone(),
            why: format!("neither the recipe nor /etc/passwd of the packages has a user `{user}`"),
        })?);
    }
    Ok(users)
}

/// Alpine's busybox makes its links only where it is called by its whole path.
fn with_own_init(root: &mut Rootfs, blobs: &BlobStore) -> Result<(), FlavourError> {
    match read(root, blobs, "init")? {
        Some(init) if init == guest::INIT => {
            let init = init.replace("\nbusybox --install", "\n/bin/busybox --install");
            write(root, blobs, "init", 0o755, init.as_bytes())
        }
        _ => Ok(()),
    }
}

/// Has OpenRC start the recipe's services.
fn with_openrc(
    recipe: &Recipe,
    users: &[User],
    root: &mut Rootfs,
    blobs: &BlobStore,
) -> Result<(), FlavourError> {
    // It is for our own init, which does not run.
    root.remove("etc/luni/services");
    root.remove("usr/lib/luni");
    write(root, blobs, "init", 0o755, INIT.as_bytes())?;
    for (level, services) in RUNLEVELS {
        for service in services {
            if root.get(&format!("etc/init.d/{service}")).is_some() {
                switch_on(root, level, service)?;
            }
        }
    }
    if recipe.boot.net && root.get("etc/init.d/networking").is_some() {
        let interfaces = "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n";
        if root.get("etc/network/interfaces").is_none() {
            write(
                root,
                blobs,
                "etc/network/interfaces",
                0o644,
                interfaces.as_bytes(),
            )?;
        }
        switch_on(root, "boot", "networking")?;
    }
    for (name, service) in &recipe.rootfs.services {
        let script = openrc_script(name, service, users)?;
        write(
            root,
            blobs,
            &format!("etc/init.d/{name}"),
            0o755,
            script.as_bytes(),
        )?;
        switch_on(root, "default", name)?;
    }
    Ok(())
}

fn switch_on(root: &mut Rootfs, level: &str, service: &str) -> Result<(), FlavourError> {
    let link = Node::symlink(format!("/etc/init.d/{service}"));
    Ok(root.insert(&format!("etc/runlevels/{level}/{service}"), link)?)
}

/// A service as a script of OpenRC (openrc-run(8)), which starts it again when it ends.
fn openrc_script(name: &str, service: &Service, users: &[User]) -> Result<String, GuestError> {
    // What cannot be written for our own init cannot be written for OpenRC.
    guest::check_service(name, service, users)?;
    let Some((program, arguments)) = service.command.split_first() else {
        return Ok(String::new());
    };
    let arguments: Vec<String> = arguments.iter().map(|word| guest::quote(word)).collect();
    let mut text = String::from("#!/sbin/openrc-run\nsupervisor=supervise-daemon\n");
    for (variable, value) in [
        ("name", name),
        ("command", program.as_str()),
        // OpenRC takes the words apart again as a shell does.
        ("command_args", &arguments.join(" ")),
        ("command_user", &service.user),
        ("output_log", "/dev/console"),
        ("error_log", "/dev/console"),
    ] {
        let _ = writeln!(text, "{variable}={}", guest::quote(value));
    }
    text.push_str("respawn_delay=1\nrespawn_max=0\n");
    for (variable, value) in &service.env {
        let _ = writeln!(text, "export {variable}={}", guest::quote(value));
    }
    text.push_str("depend() {\n\tuse net\n}\n");
    Ok(text)
}

/// Adds the recipe's users to those of the packages, where they are not there yet.
fn add_users(users: &[User], root: &mut Rootfs, blobs: &BlobStore) -> Result<(), FlavourError> {
    for user in users {
        let User { name, uid, home } = user;
        let refuse = |why: String| GuestError::User {
            user: name.clone(),
            why,
        };
        for (path, number, line) in [
            (
                "etc/passwd",
                Some(*uid),
                format!("{name}:x:{uid}:{uid}:{name}:{home}:/sbin/nologin\n"),
            ),
            ("etc/group", Some(*uid), format!("{name}:x:{uid}:\n")),
            ("etc/shadow", None, format!("{name}:!::0:::::\n")),
        ] {
            let Some(mut text) = read(root, blobs, path)? else {
                continue;
            };
            let is_it = |line: &&str| line.split(':').next() == Some(name);
            if let Some(there) = text.lines().find(is_it) {
                let same = number.is_none_or(|number| {
                    there.split(':').nth(2) == Some(number.to_string().as_str())
                });
                if !same {
                    return Err(refuse(format!("/{path} has it with another number")).into());
                }
                continue;
            }
            if let Some(number) = number {
                let number = number.to_string();
                let taken = |line: &&str| line.split(':').nth(2) == Some(number.as_str());
                if let Some(other) = text.lines().find(taken) {
                    let other = other.split(':').next().unwrap_or_default();
                    return Err(
                        refuse(format!("{number} is the number of `{other}` in /{path}")).into(),
                    );
                }
            }
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&line);
            write(root, blobs, path, 0o644, text.as_bytes())?;
        }
    }
    Ok(())
}

/// The text of a file in the root.
fn read(root: &Rootfs, blobs: &BlobStore, path: &str) -> Result<Option<String>, FlavourError> {
    let node = root.locate(path).and_then(|at| root.get(&at).cloned());
    let Some(NodeKind::File { content, .. }) = node.map(|node| node.kind) else {
        return Ok(None);
    };
    let bytes = blobs.read(&content)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Puts a file there. What is there already keeps its owner and mode.
fn write(
    root: &mut Rootfs,
    blobs: &BlobStore,
    path: &str,
    mode: u32,
    content: &[u8],
) -> Result<(), FlavourError> {
    let digest: Digest = blobs.put(content)?;
    let there = root.locate(path).and_then(|at| root.get(&at).cloned());
    let node = match there {
        Some(there) if matches!(there.kind, NodeKind::File { .. }) => Node {
            kind: Node::file(mode, digest).kind,
            ..there
        },
        _ => Node::file(mode, digest),
    };
    Ok(root.insert(path, node)?)
}

#[cfg(test)]
mod tests;
