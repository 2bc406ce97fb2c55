import numpy as np
import pytest

from mini_repr.metrics import anisotropy, singular_entropy


def test_a_flat_head_has_entropy_0_and_one_of_rank_one_the_most():
    rng = np.random.default_rng(0)
    flat = np.linalg.qr(rng.standard_normal((9, 4)))[0] * 3
    assert singular_entropy(flat) == pytest.approx(0, abs=1e-12)
    assert singular_entropy(np.outer(np.arange(1.0, 10), [1.0, 2, 3, 4])) == pytest.approx(np.log(4), rel=1e-9)
    assert 0 < singular_entropy(flat * [1, 1, 1, 3]) < np.log(4)


def test_anisotropy_of_one_direction_of_a_simplex_and_of_zero_rows():
    assert anisotropy(np.outer([1.0, 5, 2], [1.0, 2, 3])) == pytest.approx(1)
    simplex = np.eye(5) - 0.2
    assert anisotropy(simplex) == pytest.approx(-1 / 4)
    assert anisotropy(np.array([[1.0, 0], [1.0, 0], [0.0, 0]])) == pytest.approx(1 / 3)
