"""What the benchmarks have in common: running a command, and showing what it took."""

import os
import statistics
import subprocess
import sys
import time


def run(argv, **options):
    """Runs a command and what it starts; returns wall seconds, CPU seconds and the peak
    memory of one process in MB, as the kernel counted them."""
    start = time.perf_counter()
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | options
    child = subprocess.Popen(argv, **options)
    errors = child.stderr.read()
    # What the command itself waited for is counted with it.
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    if status != 0:
        sys.exit(f"{argv} ended with {status}:\n{errors.decode()}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def show(what, samples, more=""):
    """Shows the medians of samples; returns those of wall and CPU seconds."""
    wall, cpu, peak = zip(*samples)
    print(
        f"{what:<34} wall {statistics.median(wall):7.3f} s"
        f"   cpu {statistics.median(cpu):7.3f} s   peak {max(peak):6.1f} MB{more}"
    )
    return statistics.median(wall), statistics.median(cpu)
