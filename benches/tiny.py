#!/usr/bin/env python3
"""Times how long recipes/debian/tiny takes to boot, side by side with
recipes/debian/hello, which has the distribution's kernel.

    cargo build --release && benches/tiny.py [TINY.luni.zip HELLO.luni.zip]

Both are built first where they are not given; compiling a kernel takes some minutes. They
are booted alternately by QEMU's emulation, in the machine that `luni run` has, and the
time is taken until Linux starts the first program, and until that says that the machine
is up. The latter is what is compared: both have their disks and networks then, for which
the distribution's kernel wants modules loaded. Wall time is given, and the CPU time of
QEMU, which other work on the machine disturbs less. Figures of other machines mean
nothing; the ratios, which were measured alternately in one run, do.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
LUNI = pathlib.Path(os.environ.get("LUNI", ROOT / "target/release/luni"))
RUNS = max(int(os.environ.get("RUNS", 7)), 1)
# What Linux says before it starts the first program, and what that says at its end.
USERSPACE, UP = "Run /init as init process", " is up"
MEMORY_MIB = 256
DEADLINE = 300
TICKS = os.sysconf("SC_CLK_TCK")


def built(name, folder):
    """The Lunikernel of a recipe."""
    path = folder / f"{name}.luni.zip"
    subprocess.run([LUNI, "-q", "build", ROOT / "recipes/debian" / name, "-o", path], check=True)
    return path


def unpacked(zip_file, folder):
    """What QEMU needs of a Lunikernel: kernel, initramfs, command line."""
    folder.mkdir()
    with zipfile.ZipFile(zip_file) as archive:
        for name in ("kernel", "initramfs.gz"):
            archive.extract(name, folder)
        manifest = json.loads(archive.read("lunikernel.json"))
    return folder / "kernel", folder / "initramfs.gz", manifest["boot"]["cmdline"]


def cpu(pid):
    """CPU seconds of a process so far (proc_pid_stat(5), utime and stime)."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def boot(kernel, initramfs, cmdline):
    """Boots once; wall and CPU seconds until each of the lines that are waited for."""
    argv = [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
        "-display", "none", "-machine", "q35,sata=off,smbus=off", "-smp", "1",
        "-accel", "tcg", "-cpu", "max,-erms", "-m", str(MEMORY_MIB), "-serial", "stdio",
        "-kernel", str(kernel), "-initrd", str(initramfs),
        "-append", f"{cmdline} no_timer_check",
        "-object", "rng-random,id=entropy,filename=/dev/urandom",
        "-device", "virtio-rng-pci,rng=entropy",
        "-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile=",
    ]  # fmt: skip
    seen = []
    start = time.perf_counter()
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
    with subprocess.Popen(argv, **options) as machine:
        try:
            for line in machine.stdout:
                wanted = USERSPACE if not seen else UP
                if wanted.encode() in line:
                    seen.append((time.perf_counter() - start, cpu(machine.pid)))
                if len(seen) == 2:
                    return seen
                if time.perf_counter() - start > DEADLINE:
                    break
        finally:
            machine.kill()
    sys.exit(f"{kernel} did not come up")


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if len(sys.argv) == 3:
            zips = [pathlib.Path(name) for name in sys.argv[1:]]
        elif len(sys.argv) == 1 and LUNI.exists():
            zips = [built(name, folder) for name in ("tiny", "hello")]
        else:
            sys.exit(__doc__)
        names = ["tiny", "hello"]
        machines = [unpacked(path, folder / name) for name, path in zip(names, zips)]
        samples = [[], []]
        for _ in range(RUNS):
            for machine, taken in zip(machines, samples):
                taken.append(boot(*machine))
        medians = []
        for name, path, taken in zip(names, zips, samples):
            print(f"{name}: {path.stat().st_size} bytes, {RUNS} boots")
            for at, what in enumerate(("first program", "up")):
                wall, used = (statistics.median(run[at][of] for run in taken) for of in (0, 1))
                medians.append((wall, used))
                print(f"  {what:<14} wall {wall:6.2f} s   cpu {used:6.2f} s")
        for at, what in enumerate(("first program", "up")):
            wall, used = (medians[at][of] / medians[at + 2][of] for of in (0, 1))
            print(f"tiny / hello, {what}: wall {wall:.2f}, cpu {used:.2f}")
        third = medians[1][0] * 3 < medians[3][0]
        size = zips[0].stat().st_size
        print("tiny is up in", "less" if third else "NOT less", "than a third of the time")
        print("tiny is", "smaller" if size < 4_000_000 else "NOT smaller", "than 4 MB")
        return 0 if third and size < 4_000_000 else 1


if __name__ == "__main__":
    sys.exit(main())
