//! The flavour `yocto`: an image that Yocto has built, which brings its own init. What
//! is missing to run it from memory is added, and services of the recipe are started by
//! the scripts of sysvinit.

use lunikernel_cache::{BlobStore, Node, NodeKind, Rootfs};

use super::debian::guest::{self, GuestError, SUPERVISE};
use super::{FlavourError, Linux, users};
use crate::recipe::Recipe;

/// The flavour `yocto`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Yocto;

/// What every image that boots by itself has, whichever init that is.
const SYSTEM: &str = "sbin/init";
/// What the kernel starts.
const INIT: &str = "init";
/// What runs the scripts in `/etc/rc?.d`.
const RC: &str = "etc/init.d/rc";
/// What our scripts are read by.
const BUSYBOX: &str = "bin/busybox";

/// Hands over to the image's own init in a machine that runs from memory: the kernel
/// starts `/init` there, and has mounted nothing.
const HANDOVER: &str = "#!/bin/sh\n\
    PATH=/sbin:/bin:/usr/sbin:/usr/bin\n\
    mount -t devtmpfs -o nosuid,mode=0755 dev /dev\n\
    mount -t proc -o nosuid,nodev,noexec proc /proc\n\
    mount -t sysfs -o nosuid,nodev,noexec sys /sys\n\
    exec /sbin/init <>/dev/console >&0 2>&1\n";

/// Starts each service, and says that the machine is up. Services are found here and
/// not when building, so that an overlay adds one by bringing its file.
const START: &str = r#"#!/bin/busybox sh
# Starts what the recipe wants started, last of all.
[ "$1" = start ] || exit 0
for service in /etc/luni/services/*; do
    [ -f "$service" ] && /usr/lib/luni/supervise "$service" &
done
read -r name </etc/luni/name
echo "luni: ${name:-this system} is up"
"#;

impl Linux for Yocto {
    fn guest(&self, recipe: &Recipe, blobs: &BlobStore) -> Result<Rootfs, FlavourError> {
        guest::check_host_name(&recipe.name)?;
        guest::check_users(&recipe.rootfs.users)?;
        let mut files = vec![
            guest::file("etc/hostname", 0o644, format!("{}\n", recipe.name)),
            guest::file(
                "etc/luni/name",
                0o644,
                format!("{} {}\n", recipe.name, recipe.version),
            ),
            guest::file("usr/lib/luni/supervise", 0o755, SUPERVISE),
            guest::file("etc/init.d/luni", 0o755, START),
        ];
        for (name, service) in &recipe.rootfs.services {
            let script = guest::service_script(name, service, &recipe.rootfs.users)?;
            files.push(guest::file(
                &format!("etc/luni/services/{name}"),
                0o755,
                script,
            ));
        }
        let mut root = super::laid(files, blobs)?;
        for level in 2..=5 {
            let link = Node::symlink("../init.d/luni");
            root.insert(&format!("etc/rc{level}.d/S99luni"), link)?;
        }
        Ok(root)
    }

    fn complete(
        &self,
        recipe: &Recipe,
        root: &mut Rootfs,
        blobs: &BlobStore,
    ) -> Result<(), FlavourError> {
        let has = |root: &Rootfs, path: &str| {
            let at = root.locate(path);
            at.is_some_and(|at| root.get(&at).is_some())
        };
        if !has(root, SYSTEM) {
            return Err(FlavourError::NoSystem {
                system: "image of Yocto",
                path: SYSTEM,
                example: "deploy/core-image-minimal-qemux86-64.rootfs.tar.bz2",
            });
        }
        root.underlay(&surroundings(blobs)?)?;
        let guest = self.guest(recipe, blobs)?;
        let starts = has(root, RC) && has(root, BUSYBOX);
        if let Some(service) = recipe.rootfs.services.keys().next()
            && !starts
        {
            let why = format!("the image has no `/{RC}` and `/{BUSYBOX}`, which would start it");
            let service = service.clone();
            return Err(GuestError::Service { service, why }.into());
        }
        for (path, node) in guest.nodes() {
            let is_folder = matches!(node.kind, NodeKind::Folder);
            // Folders that are there stay the image's.
            if !(is_folder && root.get(path).is_some()) && (starts || path == "etc/hostname") {
                root.insert(path, node.clone())?;
            }
        }
        users::add("the image", recipe, root, blobs)
    }

    fn lists_packages(&self) -> bool {
        true
    }
}

/// What an image for a disk may lack, and a machine that runs from memory needs. It lies
/// below what is there.
fn surroundings(blobs: &BlobStore) -> Result<Rootfs, FlavourError> {
    let mut root = super::laid(vec![guest::file(INIT, 0o755, HANDOVER)], blobs)?;
    for (path, mode) in [("dev", 0o755), ("proc", 0o555), ("sys", 0o555)] {
        root.insert(path, Node::folder(mode))?;
    }
    // The kernel opens it for init before anything is mounted.
    let console = Node::of(0o600, NodeKind::CharDevice { major: 5, minor: 1 });
    root.insert("dev/console", console)?;
    Ok(root)
}

#[cfg(test)]
mod tests {
    use lunikernel_cache::Cache;

    use super::users::text;
    use super::*;

    fn recipe(rootfs: &str) -> Recipe {
        let text = format!(
            "apiVersion: lunikernel/v1\nname: demo\nversion: 1.0.0\nflavour: yocto\n\
             kernel: {{from: linux}}\nrootfs:\n  from: [image]\n{rootfs}"
        );
        serde_yaml::from_str(&text).unwrap()
    }

    /// What matters of an image here.
    fn image(cache: &Cache, paths: &[(&str, &str)]) -> Rootfs {
        let mut root = Rootfs::new();
        root.insert("sbin/init", Node::symlink("/sbin/init.sysvinit"))
            .unwrap();
        let usual = [
            ("sbin/init.sysvinit", ""),
            ("etc/hostname", "qemux86-64\n"),
            ("etc/passwd", "root::0:0:root:/home/root:/bin/sh\n"),
            ("etc/group", "root:*:0:\n"),
        ];
        for (path, text) in usual.iter().chain(paths) {
            let content = cache.blobs().put(text.as_bytes()).unwrap();
            root.insert(path, Node::file(0o644, content)).unwrap();
        }
        root
    }

    const SYSVINIT: [(&str, &str); 2] = [(RC, "#!/bin/sh\n"), (BUSYBOX, "busybox")];
    const SERVICE: &str = "  users: [{name: web, uid: 2000}]\n  services:\n    web: {command: [/usr/bin/web], user: web}\n";

    #[test]
    fn an_image_runs_from_memory_and_starts_services_last() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let mut root = image(&cache, &SYSVINIT);
        let blobs = cache.blobs();
        Yocto.complete(&recipe(SERVICE), &mut root, blobs).unwrap();
        let read = |path: &str| text(&root, path, blobs).unwrap();
        assert_eq!(read("init"), HANDOVER);
        assert_eq!(read("etc/hostname"), "demo\n");
        assert_eq!(read("etc/init.d/luni"), START);
        assert!(read("etc/luni/services/web").contains("-c web"));
        // There is no shadow file, so that the password that fits nothing is here.
        let user = "web:*:2000:2000:web:/nonexistent:/bin/false\n";
        assert!(read("etc/passwd").ends_with(user));
        assert!(root.get("etc/shadow").is_none());
        let link = &root.get("etc/rc5.d/S99luni").unwrap().kind;
        assert_eq!(*link, Node::symlink("../init.d/luni").kind);
        let console = &root.get("dev/console").unwrap().kind;
        assert_eq!(*console, NodeKind::CharDevice { major: 5, minor: 1 });
    }

    #[test]
    fn an_image_that_has_its_own_init_for_memory_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let mut root = image(&cache, &[(INIT, "#!/bin/sh\n# its own\n")]);
        Yocto
            .complete(&recipe(""), &mut root, cache.blobs())
            .unwrap();
        let init = text(&root, INIT, cache.blobs()).unwrap();
        assert_eq!(init, "#!/bin/sh\n# its own\n");
        // Nothing of ours would be started, and so nothing of it is there.
        assert!(root.get("etc/init.d/luni").is_none());
    }

    #[test]
    fn what_is_no_image_and_who_would_start_nothing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let says = |mut root: Rootfs, rootfs: &str| {
            let result = Yocto.complete(&recipe(rootfs), &mut root, cache.blobs());
            result.unwrap_err().to_string()
        };
        assert_eq!(
            says(Rootfs::new(), ""),
            "`rootfs.from` makes no image of Yocto: there is no file `/sbin/init`"
        );
        assert_eq!(
            says(image(&cache, &SYSVINIT[..1]), SERVICE),
            "service `web` cannot be started: the image has no `/etc/init.d/rc` and \
             `/bin/busybox`, which would start it"
        );
        let told = says(
            image(&cache, &SYSVINIT),
            "  users: [{name: root2, uid: 0}]\n",
        );
        assert!(told.contains("uid 0"), "{told}");
    }
}
