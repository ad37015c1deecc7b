#!/usr/bin/env python3
"""How long it takes to lock packages of Alpine against a whole index, and how much
memory: the signature checked, 5,000 packages read, dependencies solved, none fetched.

    benches/lock.py LUNI APKINDEX.tar.gz [PACKAGE...]

The index may be of another processor and signed by anyone: it is made one of x86_64 and
signed anew, by a key that lasts as long as the measurement. openssl is needed."""

import gzip
import io
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import time


def tar(files, end):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        length = archive.offset
    return out.getvalue() if end else out.getvalue()[:length]


def index_of(path):
    with tarfile.open(path) as archive:
        text = archive.extractfile("APKINDEX").read().decode()
    text = re.sub(r"^A:(?!noarch).*$", "A:x86_64", text, flags=re.MULTILINE)
    return text, text.count("\nP:")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    luni, index = (os.path.abspath(path) for path in sys.argv[1:3])
    wanted = sys.argv[3:] or ["nginx", "postgresql14", "python3", "openrc"]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        openssl = ["openssl", "genrsa", "-out", "key.pem", "2048"]
        subprocess.run(openssl, cwd=folder, check=True, capture_output=True)
        openssl = ["openssl", "rsa", "-in", "key.pem", "-pubout", "-out", "bench.rsa.pub"]
        subprocess.run(openssl, cwd=folder, check=True, capture_output=True)
        text, count = index_of(index)
        content = gzip.compress(tar([("APKINDEX", text.encode())], True), mtime=0)
        openssl = ["openssl", "dgst", "-sha1", "-sign", "key.pem"]
        signed = subprocess.run(openssl, cwd=folder, check=True, capture_output=True, input=content)
        signature = gzip.compress(tar([(".SIGN.RSA.bench.rsa.pub", signed.stdout)], False), mtime=0)
        (folder / "x86_64").mkdir()
        (folder / "x86_64/APKINDEX.tar.gz").write_bytes(signature + content)
        (folder / "recipe.yaml").write_text(
            "apiVersion: lunikernel/v1\nname: bench\nversion: '1'\nflavour: alpine\n"
            "sources:\n  alpine:\n    apk:\n"
            f"      repositories: ['file://{folder}']\n      keys: [bench.rsa.pub]\n"
            f"      packages: [{', '.join(wanted)}]\n"
            "rootfs: {from: [alpine]}\nkernel: {from: alpine}\n"
        )
        env = {**os.environ, "LUNI_CACHE": str(folder / "cache")}
        times, memory = [], []
        for _ in range(5):
            begun = time.monotonic()
            command = [luni, "lock", "--dry-run", str(folder)]
            child = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
            said = child.stderr.read()
            _, status, usage = os.wait4(child.pid, 0)
            times.append(time.monotonic() - begun)
            memory.append(usage.ru_maxrss / 1024)
            if status != 0:
                sys.exit(said)
        changes = sum(line.startswith("+ ") for line in said.splitlines())
        print(f"{count} packages in the index, {changes} chosen for {', '.join(wanted)}")
        print(f"best of 5: {min(times):.2f} s, at most {max(memory):.0f} MiB")
        over = min(times) > 0.5 or max(memory) > 150
        sys.exit("more than 0.5 s or 150 MiB" if over else 0)


if __name__ == "__main__":
    main()
