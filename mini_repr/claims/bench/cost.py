"""What a piece of work costs: memory and the processor's time."""

import time
import tracemalloc


def peak_mib(work):
    """The most memory (MiB) that ``work()`` held at once beside what was there before; its result counts."""
    tracemalloc.start()
    try:
        kept = work()  # noqa: F841 until the peak is read
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def cpu_seconds(*works, rounds=3):
    """The processor's seconds for each of several pieces of work, the least of a few rounds taken in turn."""
    found = [[] for _ in works]
    for _ in range(rounds):
        for work, times in zip(works, found, strict=True):
            started = time.process_time()
            work()
            times.append(time.process_time() - started)
    return [min(times) for times in found]
