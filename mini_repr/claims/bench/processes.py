"""Seeds of a claim, one after the other or several at once."""

import contextlib
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from mini_repr.claims.bench.keys import find_claim

THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


def one_by_one(claim, watch):
    """For ``run``: each seed here, announced to ``watch`` before it is measured."""

    def measured(seeds):
        for seed in seeds:
            watch(seed)
            yield claim.measure(seed)

    return measured


def in_processes(key, jobs, watch):
    """For ``run``: ``jobs`` seeds at once, each in a process with its share of the cores, and told when done."""

    def measured(seeds):
        context = multiprocessing.get_context("spawn")
        with _environment(threads_a_seed(jobs)), ProcessPoolExecutor(jobs, mp_context=context) as pool:
            try:
                for seed, arms in zip(seeds, pool.map(partial(_measure, key), seeds), strict=True):
                    watch(seed)
                    yield arms
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    return measured


def _measure(key, seed):
    return find_claim(key).measure(seed)


def threads_a_seed(jobs):
    """How many threads matrix products may use: what the environment says, else the cores shared by the jobs."""
    given = [os.environ[name] for name in THREADS if os.environ.get(name, "").isdecimal()]
    return int(given[0]) if given else max(1, (os.cpu_count() or 1) // jobs)


@contextlib.contextmanager
def _environment(threads):
    """What processes started within inherit; set before they load NumPy, which reads it once."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
