"""Messages and the ring, and what happens when a rank goes wrong."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mpi_ranks import ENVIRONMENT, needs_mpi, run_on

from mini_repr.backend import DeviceError
from mini_repr.nn import Dropout
from mini_repr.training.distributed import BatchSharding, world
from mini_repr.training.distributed.draws import OwnRows

HELPERS = Path(__file__).parents[1] / "helpers"


@needs_mpi
@pytest.mark.parametrize("ranks", [2, 3])
def test_messages_and_ring(ranks):
    done = run_on(ranks, HELPERS / "mpi_messages.py")
    assert done.returncode == 0, done.stderr


ONE_FAILS = """
import numpy as np
from mini_repr.training.distributed import joined
with joined() as world:
    if world.rank == 1:
        raise {error}
    world.sum(np.ones(3))
"""


@needs_mpi
@pytest.mark.parametrize(
    "error, code, line",
    [
        ("ValueError('no such file')", 2, "Error: rank 1: no such file"),
        ("MemoryError('no room')", 1, "Error: rank 1: no room"),
        (
            "type('NoRoom', (MemoryError,), {'__module__': 'cupy.cuda.memory'})('no room')",
            2,
            "Error: rank 1: device gpu: no room; lower --batch-size, --grad-cache, or the tile of a loss that has one",
        ),
    ],
)
def test_a_rank_that_fails_ends_all(error, code, line):
    done = run_on(2, "-c", ONE_FAILS.format(error=error), timeout=60)
    assert done.returncode == code
    assert line in done.stderr.splitlines()
    assert ("Traceback" in done.stderr) == (code == 1)  # a wrong use is one line, a defect shows where


ONE_STOPS = """
import time
import numpy as np
from mini_repr.training.distributed import joined
with joined() as world:
    world.sum(np.ones(3))
    if world.rank == 1:
        time.sleep(600)
    {call}
"""


@needs_mpi
@pytest.mark.parametrize(
    ("call", "what"),
    [
        ("world.sum(np.ones(3))", "a sum (3,) over all ranks"),
        ("world.gather(np.ones((2, 3)))", "rows (2, 3) of all ranks"),
        ("world.pass_on([np.ones((2, 3))])", "rows (2, 3) of rank 1 or a sign of rank 1"),
        ("world.sum_in_place([np.ones(3)])", "the sum of gradients over all ranks"),
    ],
)
def test_a_rank_that_stops_ends_all_and_who_waited_says_for_what(call, what, monkeypatch):
    monkeypatch.setenv(world.LIMIT_NAME, "2")
    done = run_on(2, "-c", ONE_STOPS.format(call=call), timeout=60)
    assert done.returncode != 0
    assert f"Error: rank 0 of 2: waited 2 s for {what}: a rank is stuck" in done.stderr


@pytest.mark.parametrize("wrong", ["soon", "-1", "inf"])
def test_a_wrong_limit_is_refused(wrong, monkeypatch):
    monkeypatch.setenv(world.LIMIT_NAME, wrong)
    with pytest.raises(ValueError, match=f"MINI_REPR_MPI_TIMEOUT: got '{wrong}', expected seconds"):
        world._limit()


@needs_mpi
def test_what_all_ranks_meet_is_said_once():
    program = "from mini_repr.training.distributed import joined\nwith joined(): raise ValueError('wrong')"
    done = run_on(3, "-c", program, timeout=60)
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if "wrong" in line] == ["Error: wrong"]


def test_mpiexec_without_mpi4py():
    program = "import sys; sys.modules['mpi4py'] = None; from mini_repr.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "train"],
        env={**os.environ, **ENVIRONMENT, "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: started as 4 ranks, but mpi4py cannot be used")
    assert "pip install 'mini-repr[mpi]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_own_rows_are_those_of_one_rank():
    """Every draw, and the state of the generators after it."""
    draws = [
        lambda rng, rows: rng.random(rows),
        lambda rng, rows: rng.random((rows, 3)),
        lambda rng, rows: rng.standard_normal((rows, 2, 5), dtype=np.float32),
        lambda rng, rows: rng.uniform(-2, 3, (rows, 2)),
        lambda rng, rows: rng.integers(7, size=(rows, 1)),
        lambda rng, rows: rng.integers(2, 7, size=rows),
    ]
    one = np.random.default_rng(5)
    several = [np.random.default_rng(5) for _ in range(3)]
    for draw in draws:
        parts = [draw(OwnRows(rng, rank, 3), 4) for rank, rng in enumerate(several)]
        np.testing.assert_array_equal(np.concatenate(parts), draw(one, 12))
    assert all(rng.bit_generator.state == one.bit_generator.state for rng in several)


def test_draws_that_no_share_can_be_had_of():
    with pytest.raises(ValueError, match="drawing by permutation cannot be shared out"):
        OwnRows(np.random.default_rng(0), 0, 2).permutation(5)


def test_dropout_differs_by_rank():
    """Rank 0 keeps its states, which a checkpoint holds; the others' follow from them."""

    def state_on(rank):
        layer = Dropout(0.5, np.random.default_rng(0))
        BatchSharding.part_dropout(SimpleNamespace(world=SimpleNamespace(rank=rank)), layer)
        return layer.random_state()

    assert state_on(0) == Dropout(0.5, np.random.default_rng(0)).random_state()
    assert state_on(1) == state_on(1)
    assert len({str(state_on(rank)) for rank in range(3)}) == 3


@pytest.mark.parametrize(
    "shown, ranks, found",
    [
        ([b"a", b"b"], 2, ["gpu:0", "gpu:1"]),  # each rank sees all GPUs
        ([[b"a"], [b"b"]], 2, ["gpu:0", "gpu:0"]),  # each sees one of its own
        ([b"a"], 2, None),
        ([[b"a"], [b"a"]], 2, None),
        ([[b"a"], []], 2, None),
    ],
)
def test_each_rank_has_a_gpu_of_its_own(monkeypatch, shown, ranks, found):
    """``shown``: the GPUs that a rank sees, or those of each rank."""
    visible = shown if isinstance(shown[0], list) else [shown] * ranks

    class Here:
        size = ranks

        def __init__(self, rank):
            self.rank = rank

        def allgather(self, own):
            gathered = [gpus[rank % len(gpus)] if gpus else None for rank, gpus in enumerate(visible)]
            assert own == gathered[self.rank]
            return gathered

    def gpu_count():
        if not visible[here.rank]:
            raise DeviceError("device gpu: CuPy finds no GPU")
        return len(visible[here.rank])

    def get_backend(name):
        number = int(name.removeprefix("gpu:"))
        return SimpleNamespace(name=name, hardware=lambda: visible[here.rank][number])

    monkeypatch.setattr(world, "gpu_count", gpu_count)
    monkeypatch.setattr(world, "get_backend", get_backend)
    backends, problems = [], []
    for here in map(Here, range(ranks)):
        try:
            backends.append(world._own_gpu(here).name)
        except DeviceError as error:
            problems.append(str(error))
    assert backends == (found or backends[:1] * (not all(visible)))
    assert bool(problems) == (found is None)
    assert all(problem.startswith("device gpu: ") and "\n" not in problem for problem in problems)
