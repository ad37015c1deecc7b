//! A guest made by hand, with the distribution's own tools instead of ours, so that
//! the runner and the guest's files are tested by themselves.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use lunikernel_builder::flavour::debian::guest::guest_files;
use lunikernel_builder::recipe::Recipe;
use lunikernel_cache::NodeKind;

/// What a boot needs on QEMU, with what that depends on.
const MODULES: [&str; 9] = [
    "core/failover",
    "char/hw_random/virtio-rng",
    "net/net_failover",
    "net/virtio_net",
    "virtio/virtio",
    "virtio/virtio_pci",
    "virtio/virtio_pci_legacy_dev",
    "virtio/virtio_pci_modern_dev",
    "virtio/virtio_ring",
];

/// Kernel and initramfs of `recipes/debian/hello`.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    /// The kernel.
    pub(crate) kernel: PathBuf,
    /// The gzipped cpio.
    pub(crate) initramfs: PathBuf,
}

impl Guest {
    /// The guest that was made in `folder`.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            kernel: folder.join("vmlinuz"),
            initramfs: folder.join("initramfs.gz"),
        }
    }
}

/// The turn to boot, and to make the guest, whose folder all tests share. Some test
/// runners start a process for each test: a lock within a process is not enough.
#[derive(Debug)]
pub(crate) struct Turn(
    /// Locked for as long as it is open.
    #[expect(dead_code, reason = "what counts is that it is open")]
    fs::File,
);

impl Turn {
    /// Waits for it.
    pub(crate) fn take() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hand-made.lock");
        let file = fs::File::create(path).unwrap();
        file.file().lock().unwrap();
        Self(file)
    }
}

/// The guest, made anew; or why it cannot be made here.
pub(crate) fn hello(_turn: &Turn) -> Result<Guest, String> {
    for program in [
        "apt-get",
        "cc",
        "cpio",
        "depmod",
        "dpkg-deb",
        "gzip",
        "qemu-system-x86_64",
    ] {
        run(Path::new("/"), &format!("command -v {program}"))
            .map_err(|_| format!("{program} is not there"))?;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hand-made");
    let root = folder.join("root");
    fs::create_dir_all(folder.join("debs")).map_err(|error| error.to_string())?;
    run(
        &folder.join("debs"),
        "image=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: //p' | head -n 1)
         test -n \"$image\"
         ls \"$image\"_*.deb busybox-static_*.deb || apt-get -q download \"$image\" busybox-static",
    )?;
    let modules = MODULES
        .map(|name| format!("*/{name}.ko"))
        .join("' -o -path '");
    run(
        &folder,
        &format!(
            "rm -rf kernel root
             mkdir -p kernel root/usr/bin
             dpkg-deb -x debs/linux-image-*.deb kernel
             dpkg-deb -x debs/busybox-static_*.deb root
             rm -r root/usr/share
             cp kernel/boot/vmlinuz-* vmlinuz
             cd kernel
             find lib/modules -name 'modules.*' -o -path '{modules}' | cpio -pdm ../root
             depmod -b ../root $(ls lib/modules)"
        ),
    )?;
    let recipe = (Path::new(env!("CARGO_MANIFEST_DIR")).ancestors())
        .map(|folder| folder.join("recipes/debian/hello"))
        .find(|folder| folder.is_dir())
        .ok_or("the recipe is not there")?;
    let program = root.join("usr/bin/hello");
    run(
        &recipe,
        &format!("cc -O2 -static -o {} files/hello.c", program.display()),
    )?;
    let recipe = Recipe::read(&recipe).map_err(|error| error.to_string())?;
    lay_down(&recipe.recipe, &root).map_err(|error| error.to_string())?;
    run(
        &root,
        "find . | sort | cpio -o -H newc -R 0:0 | gzip -n1 > ../initramfs.gz",
    )?;
    Ok(Guest::in_folder(&folder))
}

/// Writes the guest's files to a folder. Devices are left out, as an ordinary user
/// cannot make any; the kernel brings a /dev/console of its own.
fn lay_down(recipe: &Recipe, root: &Path) -> std::io::Result<()> {
    for file in guest_files(recipe).map_err(std::io::Error::other)? {
        let path = root.join(&file.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        match &file.node.kind {
            NodeKind::Folder => fs::create_dir_all(&path)?,
            NodeKind::File { .. } => fs::write(&path, &file.content)?,
            NodeKind::Symlink { target } => fs_err::os::unix::fs::symlink(target, &path)?,
            _ => continue,
        }
        if !matches!(file.node.kind, NodeKind::Symlink { .. }) {
            fs::set_permissions(&path, PermissionsExt::from_mode(file.node.mode))?;
        }
    }
    Ok(())
}

fn run(folder: &Path, script: &str) -> Result<(), String> {
    let ran = Command::new("sh")
        .args(["-euc", script])
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .current_dir(folder)
        .output()
        .map_err(|error| error.to_string())?;
    if ran.status.success() {
        return Ok(());
    }
    let log = String::from_utf8_lossy(&ran.stderr);
    Err(format!("could not run\n{script}\n{log}"))
}

/// An initramfs in `folder` with busybox and `script` as its init.
pub(crate) fn with_init(folder: &Path, script: &str) -> Result<PathBuf, String> {
    let busybox = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hand-made/root/bin/busybox");
    let root = folder.join("root");
    fs::create_dir_all(root.join("bin")).map_err(|error| error.to_string())?;
    fs::copy(busybox, root.join("bin/busybox")).map_err(|error| error.to_string())?;
    let init = root.join("init");
    fs::write(&init, format!("#!/bin/busybox sh\n{script}\n")).map_err(|e| e.to_string())?;
    fs::set_permissions(&init, PermissionsExt::from_mode(0o755)).map_err(|e| e.to_string())?;
    run(
        &root,
        "find . | cpio -o -H newc -R 0:0 | gzip -1 > ../initramfs.gz",
    )?;
    Ok(folder.join("initramfs.gz"))
}
