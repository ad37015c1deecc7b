//! What the flavour makes of a root with OpenRC, and of one without.

use lunikernel_cache::Cache;

use super::*;

const RECIPE: &str = "
apiVersion: lunikernel/v1
name: web
version: '1'
flavour: alpine
sources:
  base: {url: {url: 'https://example.org/root.tar.gz'}}
rootfs:
  from: [base]
  users: [{name: web, uid: 1000, home: /srv}]
  services:
    web:
      command: [/usr/bin/serve, -p, '80', \"it's\"]
      user: web
      env: {COLOUR: 'dark red'}
kernel: {from: base}
boot: {net: true}
";

fn recipe() -> Recipe {
    Recipe::from_bytes(RECIPE.as_bytes(), "recipe.yaml", None)
        .unwrap()
        .0
}

fn root(blobs: &BlobStore, openrc: bool) -> Rootfs {
    let mut root = Rootfs::new();
    let mut file = |path: &str, mode: u32, content: &str| {
        let digest = blobs.put(content.as_bytes()).unwrap();
        root.insert(path, Node::file(mode, digest)).unwrap();
    };
    file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh");
    file("etc/group", 0o644, "root:x:0:root\n");
    file("etc/shadow", 0o640, "root:*::0:::::\n");
    file("etc/inittab", 0o644, "::sysinit:/sbin/openrc sysinit\n");
    file("etc/hostname", 0o644, "localhost\n");
    if openrc {
        file(OPENRC, 0o755, "");
        file("etc/init.d/devfs", 0o755, "");
        file("etc/init.d/networking", 0o755, "");
    }
    root
}

fn adapted(openrc: bool) -> (tempfile::TempDir, Cache, Rootfs) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let blobs = cache.blobs();
    let mut root = root(blobs, openrc);
    root.underlay(&Alpine.guest(&recipe(), blobs).unwrap())
        .unwrap();
    Alpine.complete(&recipe(), &mut root, blobs).unwrap();
    (folder, cache, root)
}

fn text(root: &Rootfs, cache: &Cache, path: &str) -> String {
    read(root, cache.blobs(), path).unwrap().unwrap()
}

#[test]
fn services_may_run_as_users_that_packages_made() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let blobs = cache.blobs();
    let recipe = |user: &str| {
        let text = RECIPE.replace("      user: web\n", &format!("      user: {user}\n"));
        let read = Recipe::from_bytes(text.as_bytes(), "recipe.yaml", None);
        read.map(|(recipe, ..)| recipe)
    };
    let adapted = |user: &str, openrc: bool| {
        let mut root = root(blobs, openrc);
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nnginx:x:100:101:nginx:/var/lib/nginx:/bin/false\n";
        write(&mut root, blobs, "etc/passwd", 0o644, passwd.as_bytes()).unwrap();
        Alpine.complete(&recipe(user).unwrap(), &mut root, blobs)?;
        let path = if openrc {
            "etc/init.d/web"
        } else {
            "etc/luni/services/web"
        };
        Ok::<_, FlavourError>(read(&root, blobs, path).unwrap().unwrap())
    };
    let script = adapted("nginx", true).unwrap();
    assert!(script.contains("command_user='nginx'"), "{script}");
    let script = adapted("nginx", false).unwrap();
    assert!(
        script.contains("export HOME='/var/lib/nginx' USER=nginx"),
        "{script}"
    );
    assert!(script.contains(" -c nginx "), "{script}");
    for openrc in [true, false] {
        let said = adapted("ngnix", openrc).unwrap_err().to_string();
        assert!(said.contains("has a user `ngnix`"), "{said}");
    }
    // What could be more than a name in a script is none.
    assert!(recipe("'nginx; x'").is_err());
}

#[test]
fn users_join_those_of_the_packages() {
    let (_folder, cache, root) = adapted(false);
    assert_eq!(
        text(&root, &cache, "etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/srv:/sbin/nologin\n"
    );
    assert_eq!(
        text(&root, &cache, "etc/group"),
        "root:x:0:root\nweb:x:1000:\n"
    );
    assert_eq!(
        text(&root, &cache, "etc/shadow"),
        "root:*::0:::::\nweb:!::0:::::\n"
    );
    assert_eq!(root.get("etc/shadow").unwrap().mode, 0o640);
    assert_eq!(text(&root, &cache, "etc/hostname"), "web\n");
    // Again it changes nothing, and another number of the same name is refused.
    let mut again = root.clone();
    Alpine
        .complete(&recipe(), &mut again, cache.blobs())
        .unwrap();
    assert_eq!(again, root);
    let mut other = recipe();
    other.rootfs.services.clear();
    other.rootfs.users[0].uid = 1001;
    let error = Alpine
        .complete(&other, &mut again, cache.blobs())
        .unwrap_err();
    assert!(error.to_string().contains("with another number"), "{error}");
    other.rootfs.users[0].name = "www".to_owned();
    other.rootfs.users[0].uid = 1000;
    let error = Alpine
        .complete(&other, &mut again, cache.blobs())
        .unwrap_err();
    assert!(error.to_string().contains("the number of `web`"), "{error}");
}

#[test]
fn without_openrc_our_own_init_starts_the_services() {
    let (_folder, cache, root) = adapted(false);
    assert!(root.get("etc/inittab").is_none());
    assert!(text(&root, &cache, "etc/luni/services/web").contains("'/usr/bin/serve'"));
    let init = text(&root, &cache, "init");
    assert!(
        init.contains("\n/bin/busybox --install -s /run/busybox\n"),
        "{init}"
    );
    assert!(init.contains("supervise"));
}

#[test]
fn with_openrc_the_services_are_its_own() {
    let (_folder, cache, root) = adapted(true);
    assert!(root.get("etc/inittab").is_some());
    assert!(root.get("etc/luni/services").is_none());
    assert_eq!(text(&root, &cache, "init"), INIT);
    let enabled: Vec<&str> = root
        .nodes()
        .filter_map(|(path, _)| path.strip_prefix("etc/runlevels/"))
        .filter(|path| path.contains('/'))
        .collect();
    assert_eq!(enabled, ["boot/networking", "default/web", "sysinit/devfs"]);
    let script = text(&root, &cache, "etc/init.d/web");
    assert!(script.contains("command='/usr/bin/serve'\n"), "{script}");
    assert!(script.contains("command_user='web'\n"), "{script}");
    assert!(script.contains("export COLOUR='dark red'\n"), "{script}");
    // A shell takes it apart into the words of the recipe.
    let told = std::process::Command::new("sh")
        .args([
            "-c",
            &format!("{script}\neval \"set -- $command_args\"\nprintf '%s|' \"$@\""),
        ])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&told.stdout), "-p|80|it's|");
}
