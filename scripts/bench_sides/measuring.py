"""Seconds and bytes of a step."""

import resource
import statistics
import subprocess
import time


def peak_bytes():
    """Peak resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(step, repetitions):
    """{"seconds": median over repetitions, "bytes": growth of the peak resident set} of ``step()``, warmed up once."""
    before = peak_bytes()
    step()
    seconds = []
    for _ in range(repetitions):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return {"seconds": statistics.median(seconds), "bytes": peak_bytes() - before}


def process(command):
    """The same of a process: the peak is all of it."""
    seconds = measure(lambda: subprocess.run(command, check=True, capture_output=True), 5)["seconds"]
    return {"seconds": seconds, "bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024}


def available_bytes():
    """Memory that a process can have without swapping, as Linux says."""
    with open("/proc/meminfo") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024
