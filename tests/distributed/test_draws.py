"""The random numbers of a rank are its rows of those that one rank would draw for all (no MPI needed)."""

import tracemalloc

import numpy as np
import pytest

from mini_repr.training.distributed.draws import OwnRows

RANKS, ROWS = 3, 5
DRAWS = {
    "random": lambda rng, rows: rng.random((rows, 7)),
    "random in float32": lambda rng, rows: rng.random((rows, 7), dtype=np.float32),
    "normal": lambda rng, rows: rng.standard_normal((rows, 3, 3)),
    "normal in float32": lambda rng, rows: rng.standard_normal((rows, 3, 3), dtype=np.float32),
    "uniform": lambda rng, rows: rng.uniform(-2, 3, rows),
    "integers": lambda rng, rows: rng.integers(10, size=(rows, 3)),
    "large integers": lambda rng, rows: rng.integers(5, 2**40, size=(rows, 3)),
}


@pytest.mark.parametrize("rank", range(RANKS))
def test_each_rank_has_its_rows_and_the_next_draw_is_in_step(rank):
    whole = np.random.default_rng(0)
    own = OwnRows(np.random.default_rng(0), rank, RANKS)
    for name, draw in [*DRAWS.items(), *DRAWS.items()]:
        expected = draw(whole, RANKS * ROWS)[rank * ROWS : (rank + 1) * ROWS]
        np.testing.assert_array_equal(draw(own, ROWS), expected, err_msg=name)


def test_memory_is_that_of_shares_and_not_of_the_batch():
    own = OwnRows(np.random.default_rng(0), 2, 64)
    tracemalloc.start()
    try:
        share = own.standard_normal((100, 1000))
        assert tracemalloc.get_traced_memory()[1] < 4 * share.nbytes
    finally:
        tracemalloc.stop()


def test_what_cannot_be_shared_out_is_refused():
    with pytest.raises(ValueError, match="views: drawing by permutation cannot be shared out over ranks"):
        OwnRows(np.random.default_rng(0), 0, 2).permutation(4)
