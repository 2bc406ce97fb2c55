import numpy as np
import pytest

from mini_repr.metrics import input_recovery


def test_embeddings_themselves_are_read_back():
    """Few words: exactly, also scaled, and of sums of words the larger part; many words: nearly all."""
    rng = np.random.default_rng(0)
    table, words = rng.standard_normal((6, 9)), np.array([0, 3, 5, 3])
    rows = table[words]
    assert input_recovery(rows, table, words) == input_recovery(0.1 * rows, table, words) == 1.0
    mixed = 0.6 * rows + 0.4 * table[(words + 1) % 6]
    assert input_recovery(mixed, table, words) == 1.0
    assert input_recovery(mixed, table, (words + 1) % 6) == 0.0
    assert input_recovery(mixed, table, (words + 1) % 6, top=2) == 1.0
    large, many = rng.standard_normal((200, 16)), rng.integers(0, 200, 300)
    assert input_recovery(large[many], large, many) > 0.9


def test_unrelated_rows_are_chance():
    rng = np.random.default_rng(1)
    table, words = rng.standard_normal((20, 16)), rng.integers(0, 20, 20000)
    rows = rng.standard_normal((20000, 16))
    for top in (1, 5):
        assert input_recovery(rows, table, words, top=top) == pytest.approx(top / 20, abs=0.01)


def test_everything_is_among_all_words():
    rng = np.random.default_rng(2)
    assert input_recovery(rng.standard_normal((9, 3)), rng.standard_normal((5, 3)), np.arange(9) % 5, top=5) == 1.0
