#!/usr/bin/env python3
"""Times `luni` on recipes/debian/hello, side by side with tools that everyone has.

    cargo build --release && benches/hello.py

Every figure is of a whole process: wall time, CPU time, and peak memory as the kernel
counted it. Figures of other machines mean nothing; the ratios at the end, which were
measured alternately in one run, do.
"""

import os
import pathlib
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
from measure import run, show  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
LUNI = pathlib.Path(os.environ.get("LUNI", ROOT / "target/release/luni"))
RECIPE = ROOT / "recipes/debian/hello"
RUNS = 15
COLD_RUNS = 3


def cold_cache(folder, env, number):
    """An environment with a cache that has the inputs and nothing else."""
    cache, cold = folder / "cache", folder / f"cold-{number}"
    shutil.copytree(cache / "cas-v1", cold / "cas-v1", copy_function=os.link)
    return env | {"LUNI_CACHE": str(cold)}


def main():
    if not LUNI.exists():
        sys.exit(f"{LUNI} is not there: run `cargo build --release`, or set LUNI")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        env = os.environ | {"LUNI_CACHE": str(folder / "cache")}
        zip_file = folder / "hello.luni.zip"
        build = [LUNI, "-q", "build", RECIPE, "-o", zip_file]
        copy = folder / "hello"
        shutil.copytree(RECIPE, copy)
        # Without --update nothing would be resolved. A frozen mirror's releases expire.
        lock = [LUNI, "-q", "lock", copy, "--allow-expired", "--update"]
        show("lock, everything anew (network)", [run(lock, env=env)])
        show("fetch (network)", [run([LUNI, "-q", "fetch", RECIPE], env=env)])
        # Peak memory is the largest process's, steps included.
        cold = [run(build, env=cold_cache(folder, env, n)) for n in range(COLD_RUNS)]
        cold_wall, _ = show("build, cold, inputs there", cold)
        run(build, env=env)
        noop, hashed = [], []
        for _ in range(RUNS):
            noop.append(run(build, env=env))
            hashed.append(run(["sha256sum", zip_file]))
        wall, _ = show("build, nothing to do", noop)
        base, _ = show("sha256sum of the zip", hashed)
        inspected = [run([LUNI, "-q", "inspect", zip_file], env=env) for _ in range(5)]
        show("inspect (every digest checked)", inspected)
        verify = [LUNI, "-q", "verify-reproducibility", RECIPE]
        verify_wall, _ = show("verify, two cold rounds", [run(verify, env=env)])
        print(f"\nnothing to do / sha256sum: {wall / base:.2f}")
        print(f"verify / cold build: {verify_wall / cold_wall:.2f}")
        print("nothing to do is", "below" if wall < 0.1 else "NOT below", "100 ms")
        shutil.rmtree(folder / "cache", ignore_errors=True)


if __name__ == "__main__":
    main()
