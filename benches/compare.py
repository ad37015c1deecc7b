#!/usr/bin/env python3
"""Times `luni diff` on two Lunikernels of 60 MB that differ in one file, side by side
with Debian's diffoscope on the same two.

    cargo build --release && benches/compare.py

The two are made here: an initramfs with two thousand files that compress as real ones do,
of which one has another date in it: a program, this machine's bash. Exit code 1 where a
limit is not kept. diffoscope has to be there (`apt-get install --no-install-recommends
diffoscope`), unless `--without-diffoscope` leaves that comparison out.
"""

import os
import pathlib
import random
import shutil
import sys
import tempfile
import zlib

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/format"))
sys.dont_write_bytecode = True

import second_reader as second  # noqa: E402

LUNI = pathlib.Path(os.environ.get("LUNI", HERE.parent / "target/release/luni"))
SIZE = 60_000_000
# A disk image: larger than what either would keep in memory, mostly empty.
IMAGE = 2 << 30
# Which of its files differs: one in the middle.
DIFFERENT = 1000
DIFFERS = {"luni": 10, "diffoscope": 1}
MOST_MEMORY = 200
# The least that diffoscope takes of the CPU time, as a multiple of what luni takes.
LEAST_SHARE = 30
ALONE = "--without-diffoscope"


def run(argv, expected):
    """Runs a command; returns its CPU seconds, peak memory in MB, and what it printed."""
    with tempfile.TemporaryFile() as output:
        pid = os.fork()
        if pid == 0:
            os.dup2(output.fileno(), 1)
            os.execvp(argv[0], [os.fspath(word) for word in argv])
        _, status, usage = os.wait4(pid, 0)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if os.waitstatus_to_exitcode(status) != expected:
        sys.exit(f"{argv} ended with {status}:\n{text}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000, text


def show(what, cpu, peak):
    print(f"{what:<34} cpu {cpu:8.3f} s   peak {peak:7.1f} MB", flush=True)


def words(chance, count):
    """Text of a vocabulary, with the frequencies of a language."""
    vocabulary = [bytes(chance.choices(b"etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(3000)]
    weights = [1 / (rank + 1) for rank in range(len(vocabulary))]
    return b" ".join(chance.choices(vocabulary, weights, k=count)) + b"\n"


def content(chance, text):
    """A file: a part of it noise, as instructions nearly are, and a part of it text."""
    pieces = []
    for _ in range(chance.randint(1, 60)):
        at = chance.randrange(len(text) - 2000)
        pieces.append(chance.randbytes(chance.randint(100, 700)))
        pieces.append(text[at : at + chance.randint(100, 2000)])
        pieces.append(bytes(chance.randint(0, 500)))
    return b"".join(pieces)


def member(name, mode, data):
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    header = b"070701" + "".join(f"{field:08X}" for field in fields).encode()
    header += name.encode() + b"\0"
    header += bytes(-len(header) % 4)
    return header + data + bytes(-len(data) % 4)


def program(date):
    """A real ELF file with the date in one of its strings."""
    data = bytearray(pathlib.Path(shutil.which("bash")).read_bytes())
    at = data.index(b"Copyright (C)")
    data[at : at + len(date)] = date
    return bytes(data)


def initramfs(date):
    """A gzip of just under SIZE bytes; `date` is in one file in its middle."""
    chance = random.Random(1)
    text = words(chance, 200_000)
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    packed, size, number = [], 0, 0
    while size < SIZE:
        data = program(date) if number == DIFFERENT else content(chance, text)
        packed.append(packer.compress(member(f"usr/lib/{number:05}", 0o100755, data)))
        size += len(packed[-1])
        number += 1
    packed.append(packer.compress(member("TRAILER!!!", 0, b"")) + packer.flush())
    return b"".join(packed)


def lunikernel(path, date):
    contents = {"kernel": b"a kernel, as far as a zip can tell\n", "initramfs.gz": initramfs(date)}
    entries = {
        name: {"sha256": second.sha256(data), "size": len(data)}
        for name, data in contents.items()
    }
    manifest = {
        "format": "lunikernel/1",
        "name": "large",
        "version": "1.0",
        "flavour": "debian",
        "arch": "x86_64",
        "boot": {"protocol": "linux", "cmdline": "console=ttyS0", "min_memory_mib": 64},
        "devices": {"net": False, "block": False},
        "overlay": {"kind": "initramfs"},
        "entries": entries,
        "inputs": [],
    }
    path.write_bytes(second.write(manifest, contents))


def image(path, byte):
    with path.open("wb") as file:
        file.truncate(IMAGE)
        for at in range(0, IMAGE, IMAGE // 64):
            file.seek(at)
            file.write(random.Random(at).randbytes(1 << 20))
        file.seek(IMAGE // 2 + 5000)
        file.write(byte)


def apart(make):
    """Calls a function in a process of its own: the kernel counts a process's memory as
    its children's too until they run another program, and this one shall stay small."""
    pid = os.fork()
    if pid == 0:
        make()
        os._exit(0)
    if os.waitpid(pid, 0)[1] != 0:
        sys.exit("what is to be compared could not be made")


def main():
    if sys.argv[1:] not in ([], [ALONE]):
        sys.exit(__doc__)
    alone = ALONE in sys.argv
    if not alone and shutil.which("diffoscope") is None:
        sys.exit(f"diffoscope is not there: install it, or leave it out with `{ALONE}`")
    if not LUNI.exists():
        sys.exit(f"{LUNI} is not there: run `cargo build --release`, or set LUNI")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        pair = folder / "left.luni.zip", folder / "right.luni.zip"
        apart(lambda: lunikernel(pair[0], b"Jan  1 1980 00:00:00"))
        apart(lambda: lunikernel(pair[1], b"Nov 22 2026 08:15:42"))
        sizes = " and ".join(f"{path.stat().st_size / 1e6:.1f}" for path in pair)
        print(f"two Lunikernels of {sizes} MB that differ in one file")
        cpu, peak, text = run([LUNI, "-q", "diff", *pair], DIFFERS["luni"])
        show("luni diff", cpu, peak)
        if f"member `usr/lib/{DIFFERENT:05}`" not in text:
            sys.exit(f"it did not find the file:\n{text}")
        images = folder / "left.img", folder / "right.img"
        apart(lambda: image(images[0], b"1"))
        apart(lambda: image(images[1], b"2"))
        image_cpu, image_peak, _ = run([LUNI, "-q", "diff", *images], DIFFERS["luni"])
        show(f"luni diff, disk images of {IMAGE >> 20} MiB", image_cpu, image_peak)
        for path in images:
            path.unlink()
        most = max(peak, image_peak)
        kept = held(most < MOST_MEMORY, f"memory is below {MOST_MEMORY} MB")
        if not alone:
            argv = ["diffoscope", "--text", "-", *pair]
            other, other_peak, _ = run(argv, DIFFERS["diffoscope"])
            show("diffoscope", other, other_peak)
            share = other / cpu
            print(f"\ndiffoscope / luni diff: {share:.0f}")
            claim = f"luni takes less than 1/{LEAST_SHARE} of the CPU time"
            kept = held(share > LEAST_SHARE, claim) and kept
    if not kept:
        sys.exit(1)


def held(is_kept, claim):
    """Says whether a limit was kept, and returns it."""
    print("kept:" if is_kept else "NOT KEPT:", claim, flush=True)
    return is_kept


if __name__ == "__main__":
    main()
