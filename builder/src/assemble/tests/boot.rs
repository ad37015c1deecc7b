//! A real kernel unpacks what was written, and busybox loads modules by its index.

use std::time::{Duration, Instant};

use lunikernel_cache::Node;

use super::*;

const INIT: &str = r#"#!/bin/busybox sh
b=/bin/busybox
say() { $b echo "luni-test $*"; }
$b mount -t proc proc /proc
inode() { $b stat -c %i "$1"; }
[ "$(inode /a-first)" = "$(inode /hard/z)" ] && say linked
[ "$(inode /a-first)" = "$(inode /hard/changed)" ] && say too much
for f in /a-first /hard/a /hard/z; do say "$f: $($b cat $f), $($b stat -c '%a %u %g %h' $f)"; done
say "one: $($b cat /link), $($b stat -c %a /etc/one)"
say "dev: $($b stat -c '%F %t %T' /dev/vda)"
say "time: $($b stat -c %Y /empty)"
$b modprobe virtio:d00000001v00001AF4 && say loaded $($b lsmod | $b grep -o '^[a-z_]*\(net\|failover\)[a-z_]*' | $b sort)
$b poweroff -f
"#;

const EXPECTED: &str = "\
linked
/a-first: shared content, 755 12 34 3
/hard/a: shared content, 755 12 34 3
/hard/z: shared content, 755 12 34 3
one: one, 4755
dev: block special file fe 11170
time: 1234567890
loaded failover net_failover virtio_net";

#[test]
fn the_kernel_unpacks_it() {
    if !has("qemu-system-x86_64", "qemu-system-x86") {
        return;
    }
    let (Some(kernel_deb), Some(busybox_deb)) = (cloud_kernel(), package("busybox-static")) else {
        return;
    };
    let (cache, folder) = cache();
    let unpack = |deb: &Path| {
        let digest = cache.blobs().put(&fs::read(deb).unwrap()).unwrap();
        unpack_deb(cache.blobs(), &digest, None).unwrap().root
    };
    let (kernel_root, busybox) = (unpack(&kernel_deb), unpack(&busybox_deb));
    let kernel = kernel::find(&kernel_root).unwrap();
    let wanted = ["virtio_net".to_owned()];
    let modules = modules::take(&kernel_root, cache.blobs(), &kernel.version, &wanted).unwrap();

    let mut root = cpio::tests::sample(&cache);
    let program = busybox
        .get("bin/busybox")
        .or(busybox.get("usr/bin/busybox"));
    root.insert("bin/busybox", program.unwrap().clone())
        .unwrap();
    root.insert("proc", Node::folder(0o555)).unwrap();
    let init = cache.blobs().put(INIT.as_bytes()).unwrap();
    root.insert("init", Node::file(0o755, init)).unwrap();
    root.overlay(&modules.root).unwrap();
    let packed = initramfs(&root, cache.blobs(), 1_234_567_890).unwrap();

    let console = folder.path().join("console");
    let mut machine = Command::new("qemu-system-x86_64")
        .args(["-accel", "tcg", "-cpu", "max", "-m", "512", "-no-reboot"])
        .args(["-display", "none", "-monitor", "none", "-nic", "none"])
        .args(["-append", "console=ttyS0 quiet panic=-1"])
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .arg("-kernel")
        .arg(cache.blobs().path(&kernel.image.sha256))
        .arg("-initrd")
        .arg(cache.blobs().path(&packed.digest.sha256))
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(300);
    while machine.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            machine.kill().unwrap();
            machine.wait().unwrap();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let said = String::from_utf8_lossy(&fs::read(&console).unwrap()).into_owned();
    let lines: Vec<_> = said
        .lines()
        .filter_map(|line| line.trim_end().strip_prefix("luni-test "))
        .collect();
    assert_eq!(lines.join("\n"), EXPECTED, "{said}");
}
