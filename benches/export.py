#!/usr/bin/env python3
"""Times `luni export` side by side with the tools that others use, on the same bytes.

    cargo build --release
    cargo build --release --example qcow2 -p lunikernel-exporters
    benches/export.py

Needs qemu-utils, gdisk, dosfstools, mtools and cpio, and the network or a mirror
(LUNI_MIRRORS) once, for the boot loaders. Ends with 1 where a goal was missed, and with 2
where something that it needs is not there. LUNI names another program than that in target/,
RUNS a number of runs above five. Every figure is of whole processes: wall time, CPU
time, and peak memory as the kernel counted it. What `luni` takes has all in it that the verb
does: checking every digest of the Lunikernel, looking for drivers in its initramfs, hashing
the disk and what it wrote, and waiting until that is stored. `qemu-img convert` does nothing
of that, so that beside it on the same raw disk stands `exporters/examples/qcow2.rs`, which
does not either; what the whole verb takes is shown as well, without a goal. Figures of other
machines mean nothing; the ratios, which were measured alternately in one run, do.
"""

import gzip
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import zipfile
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
LUNI = pathlib.Path(os.environ.get("LUNI", ROOT / "target/release/luni"))
CONVERT = ROOT / "target/release/examples/qcow2"
RUNS = max(int(os.environ.get("RUNS", 5)), 5)
os.environ.update(
    PATH=os.environ["PATH"] + ":/usr/sbin:/sbin", LC_ALL="C", SOURCE_DATE_EPOCH="0"
)

sys.path.insert(0, str(ROOT / "tests/format"))
sys.dont_write_bytecode = True
import second_reader  # noqa: E402
from measure import run, show  # noqa: E402
from overlay import member  # noqa: E402

# The programs beside it, and the packages of Debian that have them.
NEEDED = {
    "qemu-img": "qemu-utils", "sgdisk": "gdisk", "mkfs.vfat": "dosfstools", "mmd": "mtools",
    "mcopy": "mtools", "cpio": "cpio", "tar": "tar", "gzip": "gzip",
}
KERNEL = 8 << 20
PACKED = 52 << 20
TREE = 48 << 20


def files(limit):
    """Files of this machine, none of them large, `limit` bytes of them."""
    paths = (it for at in ("/usr/bin", "/usr/lib") for it in pathlib.Path(at).rglob("*"))
    size = 0
    for path in sorted(it for it in paths if it.is_file() and not it.is_symlink()):
        if path.stat().st_size > 2 << 20:
            continue
        size += path.stat().st_size
        if size > limit:
            return
        yield path


# The modules of recipes/debian/hello, and some of what is built into its kernel.
MODULES = [
    "block/virtio_blk", "char/virtio_console", "net/ethernet/amazon/ena/ena",
    "net/ethernet/google/gve/gve", "net/net_failover", "net/virtio_net", "scsi/scsi_mod",
    "scsi/sd_mod", "scsi/virtio_scsi", "virtio/virtio", "virtio/virtio_pci",
    "virtio/virtio_ring",
]
BUILT_IN = [
    "kernel/arch/x86/kernel/msr.ko", "kernel/block/t10-pi.ko", "kernel/crypto/crc32c_generic.ko",
    "kernel/drivers/acpi/button.ko", "kernel/drivers/nvme/host/nvme-core.ko",
    "kernel/drivers/nvme/host/nvme.ko", "kernel/drivers/tty/serial/8250/8250.ko",
    "kernel/fs/ext4/ext4.ko", "kernel/fs/fat/vfat.ko", "kernel/lib/crc16.ko",
]


def modules():
    """What a kernel has in an initramfs; the content of its modules is of no matter."""
    top = "usr/lib/modules/6.1"
    files = {f"{top}/kernel/drivers/{it}.ko": it.encode() for it in MODULES}
    files[f"{top}/modules.builtin"] = "".join(f"{it}\n" for it in BUILT_IN).encode()
    return files


def artefact(path, kernel, initramfs, paths):
    """A Linux with these, as one that was built from a recipe; `paths` is what stands where
    in its initramfs."""
    index = json.dumps(paths, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    contents = {
        "kernel": kernel, "initramfs.gz": initramfs, "initramfs.paths.json": index.encode(),
        "recipe.yaml": b"recipe", "recipe.lock": b"lock",
    }
    digest = lambda name: {
        "sha256": second_reader.sha256(contents[name]), "size": len(contents[name]),
    }
    manifest = {
        "format": "lunikernel/1", "name": "base", "version": "1", "flavour": "debian",
        "arch": "x86_64", "devices": {"net": True, "block": True}, "inputs": [],
        "boot": {"protocol": "linux", "cmdline": "console=ttyS0", "min_memory_mib": 512},
        "overlay": {"kind": "initramfs"},
        "recipe": digest("recipe.yaml"), "lock": digest("recipe.lock"),
    }
    path.write_bytes(second_reader.write(manifest, contents))


class Packed:
    """An archive of files in a gzip, as an initramfs is."""

    def __init__(self):
        self.paths, self.pieces, self.size = {}, [], 0
        self.gzip = zlib.compressobj(6, wbits=31)

    def add(self, path, content, mode=0o100755):
        above = path.rpartition("/")[0]
        if above and above not in self.paths:
            self.add(above, b"", 0o40755)
        self.paths[path] = "folder" if mode & 0o40000 else "file"
        piece = member(path, mode, content, len(self.paths))
        self.pieces.append(self.gzip.compress(piece))
        self.size += len(self.pieces[-1])

    def finish(self):
        end = self.gzip.compress(member("TRAILER!!!", 0, b"", 0))
        return b"".join([*self.pieces, end, self.gzip.flush()])


def inputs(folder):
    """A Lunikernel of 60 MB as they are: of programs at the paths that they have here and a
    kernel's modules, sorted, compressed; one that is empty; and a folder of programs."""
    packed, kernel, more = Packed(), b"", sorted(modules().items())
    for path in files(400 << 20):
        content, name = path.read_bytes(), str(path).lstrip("/")
        if len(kernel) < KERNEL:
            kernel += zlib.compress(content)
        while more and more[0][0] < name:
            packed.add(*more.pop(0))
        packed.add(name, content)
        if packed.size > PACKED:
            break
    for path, content in more:
        packed.add(path, content)
    artefact(folder / "large.luni.zip", kernel[:KERNEL], packed.finish(), packed.paths)
    artefact(folder / "empty.luni.zip", b"kernel", Packed().finish(), {})
    (folder / "tree").mkdir()
    for number, path in enumerate(files(TREE)):
        shutil.copyfile(path, folder / f"tree/{number:05}")


# What was missed; and the most memory, in MB, that an export took.
missed, peaks = [], []


def beside(what, ours, theirs, made, others, size=lambda path: path.stat().st_size):
    """Runs both in turn; shows the medians, and the ratio of theirs to ours. What they make
    is removed before, as that takes time too."""
    samples = [[], []]
    for number in range(RUNS + 1):
        for place, argv, path in zip(samples, (ours, theirs), (made, others)):
            path.unlink(missing_ok=True)
            sample = run(argv, shell=isinstance(argv, str))
            if number > 0:  # The first warms the caches.
                place.append(sample)
    sizes = [size(path) if size else None for path in (made, others)]
    medians = []
    for name, place, bytes_ in zip(("luni", "others"), samples, sizes):
        more = "" if bytes_ is None else f"   {bytes_:>12,} bytes"
        medians.append(show(f"{what:<26} {name}", place, more))
    peaks.extend(sample[2] for sample in samples[0])
    (wall, cpu), (their_wall, their_cpu) = medians
    times, larger = their_cpu / max(cpu, 0.001), None
    more = ""
    if size:
        larger = 100 * (sizes[0] / sizes[1] - 1)
        more = f", {larger:+.2f} % in size"
    print(
        f"{'':<26} others need {times:.1f} times the CPU time"
        f" and {their_wall / wall:.1f} times the wall time{more}"
    )
    return times, their_wall / wall, larger


def goal(what, text, met):
    print(f"{'':<26} goal: {text}: {'met' if met else 'NOT met'}\n")
    if not met:
        missed.append(f"{what}: {text}")


def segment(path):
    """How large the initramfs is in a Lunikernel, or as it is."""
    if path.suffix != ".zip":
        return path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        return archive.getinfo("initramfs.gz").file_size


def cores(argv, made):
    """Shows how long it takes on one processor and on two; gives the medians."""
    own = sorted(os.sched_getaffinity(0))
    samples = {1: [], 2: []}
    for _ in range(RUNS):
        for count, place in samples.items():
            made.unlink(missing_ok=True)
            on = lambda count=count: os.sched_setaffinity(0, own[:count])
            place.append(run(argv, preexec_fn=on))
    return [
        show(f"initramfs, processors: {count}", place)[0] for count, place in samples.items()
    ]


def ready():
    """Ends where something that is needed is not there."""
    if not LUNI.exists():
        print(f"{LUNI} is not there: run `cargo build --release`, or set LUNI", file=sys.stderr)
        sys.exit(2)
    if not CONVERT.exists():
        print(f"{CONVERT} is not there: run `cargo build --release --example qcow2 -p"
              " lunikernel-exporters`", file=sys.stderr)
        sys.exit(2)
    packages = {package for it, package in NEEDED.items() if not shutil.which(it)}
    if packages:
        print(f"not installed, of Debian's packages: {', '.join(sorted(packages))}",
              file=sys.stderr)
        sys.exit(2)


def main():
    ready()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        os.environ.setdefault("LUNI_CACHE", str(folder / "cache"))
        # Not here: what this program takes would count as what those that it starts do.
        subprocess.run([sys.executable, __file__, "--inputs", folder], check=True)
        # Without GRUB, which the disks of the others have not.
        export = lambda formats, *more: [
            LUNI, "-q", "export", folder / "large.luni.zip", "--to", formats,
            "--firmware", "uefi", "-o", folder, *more,
        ]
        run(export("raw,uki"))
        disk, program, other = (folder / it for it in ("base.raw", "base.efi", "other"))
        kept = folder / "disk.raw"
        disk.rename(kept)
        content = program.stat().st_size
        print(f"a disk of 1 GiB with {content / 1e6:.1f} MB on it, medians of {RUNS} runs\n")

        times, _, larger = beside(
            "gce",
            export("gce"),
            f"cd {folder} && tar --format=oldgnu -Sc disk.raw | gzip -6 > other",
            folder / "base.gce.tar.gz",
            other,
        )
        goal("gce", "8 times less CPU, at most 1 % larger", times >= 8 and larger <= 1)
        for what, ours, theirs in (("qcow2", [], []), ("qcow2 compressed", ["-c"], ["-c"])):
            convert = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *theirs]
            _, wall, _ = beside(
                what, [CONVERT, *ours, kept, folder / "own"], [*convert, kept, other],
                folder / "own", other,
            )
            goal(what, "not slower", wall >= 1)
        raw = " ".join(map(str, export("raw")))
        beside(
            "qcow2 of a Lunikernel",
            export("kvm"),
            f"{raw} > /dev/null && qemu-img convert -f raw -O qcow2 {disk} {other}",
            folder / "base.qcow2",
            other,
        )
        print()
        script = f"""
            set -e
            cd {folder}
            rm -f esp
            truncate -s 80M esp
            mkfs.vfat --invariant -F 32 -s 1 -i 12345678 esp
            mmd -i esp ::EFI ::EFI/BOOT
            mcopy -i esp base.efi ::EFI/BOOT/BOOTX64.EFI
            truncate -s 1G other
            sgdisk -a 1 -n 1:4096:+80M -t 1:ef00 other
            dd if=esp of=other bs=1M seek=2 conv=notrunc,sparse
        """
        _, wall, _ = beside("raw", export("raw"), script, disk, other, size=None)
        goal("raw", "not slower", wall >= 1)
        laid = folder / "laid.luni.zip"
        overlay = [LUNI, "-q", "overlay", folder / "empty.luni.zip", folder / "tree", "-o", laid]
        times, _, larger = beside(
            "initramfs of 48 MiB",
            overlay,
            f"cd {folder}/tree && find . | sort | cpio -o -H newc --quiet | gzip -9 > ../other",
            laid,
            other,
            size=segment,
        )
        goal("initramfs", "10 times less CPU, not larger", times >= 10 and larger <= 0)
        if len(os.sched_getaffinity(0)) > 1:
            one, two = cores(overlay, laid)
            goal("initramfs", "faster still with two processors", two < one)
        else:
            print("there is one processor: whether two are faster was not measured\n")
        ten = []
        for _ in range(RUNS):
            disk.unlink(missing_ok=True)
            ten.append(run(export("raw", "--size", "10G")))
        stored = disk.stat().st_blocks * 512
        peaks.extend(sample[2] for sample in ten)
        _, cpu = show("raw of 10 GiB", ten, f"   {stored / 1e6:.1f} MB on disk")
        goal("raw of 10 GiB", "less than 0.5 s of CPU and 100 MB on disk",
             cpu < 0.5 and stored < 100e6)
        goal("memory", f"less than 200 MB in all of these (the most: {max(peaks):.0f})",
             max(peaks) < 200)
    for it in missed:
        print(f"missed: {it}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inputs"]:
        inputs(pathlib.Path(sys.argv[2]))
    else:
        sys.exit(main())
