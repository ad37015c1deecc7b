//! The flavour `tinycore`: TinyCore's Core, which brings its own init and sets itself
//! up; users and services of the recipe are written where Core looks for them.

use lunikernel_cache::{BlobStore, NodeKind, Rootfs};

use super::debian::guest::{self, SUPERVISE};
use super::{FlavourError, Linux, users};
use crate::recipe::Recipe;

/// The flavour `tinycore`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tinycore;

/// What every Core has, and nothing else.
const CORE: &str = "etc/init.d/tc-config";
/// What Core runs when it has set itself up, and waits for.
const BOOTSYNC: &str = "opt/bootsync.sh";
/// What it runs then, and does not wait for.
const BOOTLOCAL: &str = "opt/bootlocal.sh";

/// Starts each service, and says that the machine is up. Services are found here and
/// not when building, so that an overlay adds one by bringing its file.
const START: &str = r#"#!/bin/busybox sh
# What the recipe wants done when Core is up.
for service in /etc/luni/services/*; do
    [ -f "$service" ] && /usr/lib/luni/supervise "$service" &
done
read -r name </etc/luni/name
echo "luni: ${name:-this system} is up"
"#;

impl Linux for Tinycore {
    fn guest(&self, recipe: &Recipe, blobs: &BlobStore) -> Result<Rootfs, FlavourError> {
        guest::check_host_name(&recipe.name)?;
        guest::check_users(&recipe.rootfs.users)?;
        let sync = format!(
            "#!/bin/sh\n/usr/bin/sethostname {}\n/{BOOTLOCAL} &\n",
            recipe.name
        );
        let mut files = vec![
            guest::file("etc/hostname", 0o644, format!("{}\n", recipe.name)),
            guest::file(
                "etc/luni/name",
                0o644,
                format!("{} {}\n", recipe.name, recipe.version),
            ),
            guest::file("usr/lib/luni/supervise", 0o755, SUPERVISE),
            guest::file(BOOTSYNC, 0o775, sync),
            guest::file(BOOTLOCAL, 0o775, START),
        ];
        for (name, service) in &recipe.rootfs.services {
            let script = guest::service_script(name, service, &recipe.rootfs.users)?;
            files.push(guest::file(
                &format!("etc/luni/services/{name}"),
                0o755,
                script,
            ));
        }
        super::laid(files, blobs)
    }

    fn complete(
        &self,
        recipe: &Recipe,
        root: &mut Rootfs,
        blobs: &BlobStore,
    ) -> Result<(), FlavourError> {
        if root.get(CORE).is_none() {
            return Err(FlavourError::NoSystem {
                system: "Core",
                path: CORE,
                example: "release/boot/corepure64.gz",
            });
        }
        for (path, node) in self.guest(recipe, blobs)?.nodes() {
            // Folders that are there stay Core's.
            if !(matches!(node.kind, NodeKind::Folder) && root.get(path).is_some()) {
                root.insert(path, node.clone())?;
            }
        }
        users::add("Core", recipe, root, blobs)
    }
}

#[cfg(test)]
mod tests {
    use lunikernel_cache::{Cache, Node};

    use super::users::text;
    use super::*;

    fn recipe(rootfs: &str) -> Recipe {
        let text = format!(
            "apiVersion: lunikernel/v1\nname: demo\nversion: 1.0.0\nflavour: tinycore\n\
             kernel: {{from: linux}}\nrootfs:\n  from: [core]\n{rootfs}"
        );
        serde_yaml::from_str(&text).unwrap()
    }

    /// What matters of Core here.
    fn core(cache: &Cache) -> Rootfs {
        let mut root = Rootfs::new();
        let mut put = |path: &str, mode: u32, text: &str| {
            let content = cache.blobs().put(text.as_bytes()).unwrap();
            let node = Node {
                gid: 50,
                ..Node::file(mode, content)
            };
            root.insert(path, node).unwrap();
        };
        put(CORE, 0o755, "#!/bin/busybox ash\n");
        put(BOOTLOCAL, 0o775, "#!/bin/sh\n");
        put(
            "etc/passwd",
            0o644,
            "root:x:0:0:root:/root:/bin/sh\ntc:x:1001:50::/home/tc:/bin/sh",
        );
        put("etc/group", 0o644, "root:x:0:\nstaff:x:50:\n");
        put("etc/shadow", 0o640, "root:*:13525:0:99999:7:::\n");
        root
    }

    #[test]
    fn users_join_those_of_core_and_services_start_when_it_is_up() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let mut root = core(&cache);
        let recipe = recipe(
            "  users: [{name: web, uid: 2000}]\n  services:\n    web: {command: [/usr/local/bin/web], user: web}\n",
        );
        Tinycore
            .complete(&recipe, &mut root, cache.blobs())
            .unwrap();
        let read = |path: &str| text(&root, path, cache.blobs()).unwrap();
        assert!(read("etc/passwd").ends_with(
            "tc:x:1001:50::/home/tc:/bin/sh\nweb:x:2000:2000:web:/nonexistent:/bin/false\n"
        ));
        assert!(read("etc/group").ends_with("staff:x:50:\nweb:x:2000:\n"));
        assert!(read("etc/shadow").ends_with("web:*:13509:0:99999:7:::\n"));
        let shadow = root.get("etc/shadow").unwrap();
        assert_eq!((shadow.mode, shadow.gid), (0o640, 50));
        assert_eq!(read(BOOTLOCAL), START);
        assert!(read(BOOTSYNC).contains("sethostname demo\n"));
        assert!(read("etc/luni/services/web").contains("-c web"));
    }

    #[test]
    fn what_is_no_core_and_who_is_there_already_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let says = |root: &mut Rootfs, rootfs: &str| {
            let result = Tinycore.complete(&recipe(rootfs), root, cache.blobs());
            result.unwrap_err().to_string()
        };
        assert_eq!(
            says(&mut Rootfs::new(), ""),
            "`rootfs.from` makes no Core: there is no file `/etc/init.d/tc-config`"
        );
        for user in [
            "{name: tc, uid: 2000}",
            "{name: web, uid: 1001}",
            "{name: web, uid: 50}",
        ] {
            let told = says(&mut core(&cache), &format!("  users: [{user}]\n"));
            assert!(told.contains("Core has a user or group"), "{told}");
        }
    }
}
