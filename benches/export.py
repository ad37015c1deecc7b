#!/usr/bin/env python3
"""Times the exporters side by side with the tools that others use, on the same bytes.

    cargo build --release -p lunikernel-exporters --example export && benches/export.py

Needs qemu-utils, gdisk, dosfstools and mtools. Every figure is of whole processes: wall
time, CPU time, and peak memory as the kernel counted it. Figures of other machines mean
nothing; the ratios at the end, which were measured alternately in one run, do.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import zlib

sys.dont_write_bytecode = True
from measure import run, show  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXPORT = pathlib.Path(
    os.environ.get("EXPORT", ROOT / "target/release/examples/export")
)
RUNS = int(os.environ.get("RUNS", 7))
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
os.environ.update(PATH=PATH, LC_ALL="C", SOURCE_DATE_EPOCH="0")


def beside(what, ours, theirs, folder, sizes=True):
    """Runs both in turn; shows the medians, and the ratio of theirs to ours. What they
    make is `mine` and `other`, and is removed before, as that takes time too."""
    samples, files = [[], []], [folder / "mine", folder / "other"]
    for number in range(RUNS + 1):
        for place, argv, file in zip(samples, (ours, theirs), files):
            for made in (file, folder / "esp"):
                made.unlink(missing_ok=True)
            sample = run(argv, shell=isinstance(argv, str))
            if number > 0:  # The first warms the caches.
                place.append(sample)
    medians = []
    for name, place, file in zip(("luni", "others"), samples, files):
        size = f"   {file.stat().st_size:>12,} bytes" if sizes else ""
        medians.append(show(f"{what:<26} {name}", place, size))
    (wall, cpu), (their_wall, their_cpu) = medians
    more = ""
    if sizes:
        ratio = files[0].stat().st_size / files[1].stat().st_size
        more = f", {100 * (ratio - 1):+.2f} % in size"
    print(
        f"{'':<24} others need {their_cpu / max(cpu, 0.001):.1f} times the CPU time"
        f" and {their_wall / wall:.1f} times the wall time{more}\n"
    )


def inputs(folder):
    """60 MB as a Lunikernel has them: compressed, but for a boot loader."""
    packed, size = zlib.compressobj(6, wbits=31), 0
    with open(folder / "initrd.img", "wb") as out:
        files = (it for at in ("/usr/bin", "/usr/lib") for it in pathlib.Path(at).rglob("*"))
        for file in sorted(it for it in files if it.is_file() and not it.is_symlink()):
            if size > 58_000_000:
                break
            with open(file, "rb") as source:
                while piece := source.read(1 << 20):
                    size += out.write(packed.compress(piece))
        out.write(packed.flush())
    with open(sys.executable, "rb") as source:
        (folder / "BOOTX64.EFI").write_bytes(source.read(1 << 20))
    run(["head", "-c", "8M", "initrd.img"], cwd=folder, stdout=open(folder / "vmlinuz", "wb"))


def main():
    if not EXPORT.exists():
        sys.exit(f"{EXPORT} is not there: build it as the text at the top says, or set EXPORT")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        # Not here: what this program takes would count as what those that it starts do.
        subprocess.run([sys.executable, __file__, "--inputs", folder], check=True)
        files = [
            f"{path}={folder / path.rpartition('/')[2]}"
            for path in ("EFI/BOOT/BOOTX64.EFI", "initrd.img", "vmlinuz")
        ]
        export = lambda kind, out, size: [EXPORT, kind, folder / out, str(size), *files]
        run(export("raw", "disk.raw", 1024))
        disk, mine, other = (folder / it for it in ("disk.raw", "mine", "other"))
        beside(
            "gce, 1 GiB",
            export("gce", "mine", 1024),
            f"cd {folder} && tar --format=oldgnu -Sc disk.raw | gzip -6 > other",
            folder,
        )
        convert = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2"]
        beside(
            "qcow2, 1 GiB",
            export("qcow2", "mine", 1024),
            [*convert, disk, other],
            folder,
        )
        beside(
            "qcow2 compressed, 1 GiB",
            export("qcow2-compressed", "mine", 1024),
            [*convert, "-c", disk, other],
            folder,
        )
        beside(
            "vmdk, 1 GiB",
            export("vmdk", "mine", 1024),
            ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o",
             "subformat=streamOptimized", disk, other],
            folder,
        )
        script = f"""
            set -e
            cd {folder}
            truncate -s 80M esp
            mkfs.vfat --invariant -F 32 -s 1 -i 12345678 esp
            mmd -i esp ::EFI ::EFI/BOOT
            mcopy -i esp BOOTX64.EFI ::EFI/BOOT/BOOTX64.EFI
            mcopy -i esp initrd.img vmlinuz ::
            truncate -s 1G other
            sgdisk -a 1 -n 1:2048:4095 -t 1:ef02 -n 2:4096:+80M -t 2:ef00 other
            dd if=esp of=other bs=1M seek=2 conv=notrunc,sparse
        """
        beside("raw, 1 GiB", export("raw", "mine", 1024), script, folder, sizes=False)
        mine.unlink()
        ten = [run(export("raw", "mine", 10 << 10)) for _ in range(RUNS)]
        digest = [run(export("digest", "mine", 10 << 10)) for _ in range(RUNS)]
        for what, samples in (("raw, 10 GiB", ten), ("its block digest", digest)):
            wall, cpu, peak = (statistics.median(it) for it in zip(*samples))
            print(f"{what:<24} wall {wall:.3f} s   cpu {cpu:.3f} s   peak {peak:.1f} MB")
        print(f"{'':<24} {mine.stat().st_blocks * 512 / 1e6:.1f} MB on disk")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inputs"]:
        inputs(pathlib.Path(sys.argv[2]))
    else:
        main()
