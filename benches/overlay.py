#!/usr/bin/env python3
"""Times `luni overlay`, side by side with `sha256sum` of what it writes.

    cargo build --release && benches/overlay.py

A base of 200 MB and one of 20 MB, an overlay of 1 MB. Every figure is of a whole
process. Figures of other machines mean nothing; the ratio, which was measured
alternately in one run, does, but for one thing: a `sha256sum` that does not use the
processor's own instructions for SHA-256 is several times slower than one that does. So
`openssl dgst`, which uses them, is shown as well, where it is installed.
"""

import gzip
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
LUNI = pathlib.Path(os.environ.get("LUNI", ROOT / "target/release/luni"))
RUNS = int(os.environ.get("RUNS", 9))

sys.path.insert(0, str(ROOT / "tests/format"))
sys.dont_write_bytecode = True
import second_reader  # noqa: E402
from measure import run, show  # noqa: E402


def member(name, mode, content, inode):
    """A member of a newc archive."""
    name = name.encode() + b"\0"
    fields = [inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0]
    data = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    data += bytes(-len(data) % 4) + content
    return data + bytes(-len(data) % 4)


def base(path, size):
    """A Lunikernel of `size` bytes, of many files that do not compress."""
    chance, each = random.Random(size), 200_000
    archive = [member("srv", 0o40755, b"", 1)]
    paths = {"srv": "folder"}
    for number in range(size // each):
        name = f"srv/{number:04}"
        archive.append(member(name, 0o100644, chance.randbytes(each), number + 2))
        paths[name] = "file"
    archive.append(member("TRAILER!!!", 0, b"", 0))
    manifest = {
        "format": "lunikernel/1", "name": "base", "version": "1", "flavour": "debian",
        "arch": "x86_64", "devices": {"net": False, "block": False}, "inputs": [],
        "boot": {"protocol": "linux", "cmdline": "", "min_memory_mib": 512},
        "overlay": {"kind": "initramfs"},
    }
    contents = {
        "kernel": b"kernel",
        "initramfs.gz": gzip.compress(b"".join(archive), 1, mtime=0),
        "initramfs.paths.json": json.dumps(paths, separators=(",", ":"), sort_keys=True).encode(),
    }
    path.write_bytes(second_reader.write(manifest, contents))


def main():
    if not LUNI.exists():
        sys.exit(f"{LUNI} is not there: run `cargo build --release`, or set LUNI")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        env = os.environ | {"LUNI_CACHE": str(folder / "cache")}
        overlay = folder / "overlay/srv/mine"
        overlay.parent.mkdir(parents=True)
        # Half of it compresses, half does not.
        text = b"a line that comes again and again\n" * 15_000
        overlay.write_bytes(text[:500_000] + random.Random(1).randbytes(500_000))
        shutil.make_archive(folder / "overlay", "zip", folder / "overlay")
        ok = True
        for size in (200_000_000, 20_000_000):
            below, out = folder / "base.luni.zip", folder / "out.luni.zip"
            # By another process: the peak of a child counts what its parent had.
            subprocess.run([sys.executable, __file__, "base", below, str(size)], check=True)
            lay = [LUNI, "-q", "overlay", below, folder / "overlay.zip", "-o", out]
            run(lay, env=env)
            laid, summed, openssl = [], [], []
            for _ in range(RUNS):
                laid.append(run(lay, env=env))
                summed.append(run(["sha256sum", out]))
                if shutil.which("openssl"):
                    openssl.append(run(["openssl", "dgst", "-sha256", out]))
            print(f"base of {size // 1_000_000} MB")
            wall, cpu = show("  overlay of 1 MB", laid)
            sum_wall, sum_cpu = show("  sha256sum of the result", summed)
            if openssl:
                show("  openssl dgst -sha256", openssl)
            peak = max(sample[2] for sample in laid)
            print(f"  overlay / sha256sum: wall {wall / sum_wall:.2f}, cpu {cpu / sum_cpu:.2f}")
            ok &= peak < 50 and (wall / sum_wall <= 1.5 if size > 10**8 else wall < 0.2)
        print("all goals are", "met" if ok else "NOT met")


if __name__ == "__main__":
    if sys.argv[1:2] == ["base"]:
        base(pathlib.Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
