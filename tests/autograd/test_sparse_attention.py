import numpy as np
import pytest

from mini_repr.autograd import Tensor, attention, sparsemax
from mini_repr.nn import Block


def test_equals_attention_composed_of_sparsemax():
    rng = np.random.default_rng(0)
    arrays = rng.standard_normal((3, 2, 5, 6))
    fused = [Tensor(x, requires_grad=True) for x in arrays]
    output, weights = attention(*fused, sparse=True)
    plain = [Tensor(x, requires_grad=True) for x in arrays]
    q, k, v = plain
    p = sparsemax(q @ k.transpose(0, 2, 1) / 6**0.5)
    expected = p @ v
    np.testing.assert_allclose(output.data, expected.data, atol=1e-14)
    np.testing.assert_allclose(weights.data[:, 0], p.data, atol=1e-14)
    g = rng.standard_normal(output.shape)
    output.backward(g)
    expected.backward(g)
    for one, other in zip(fused, plain, strict=True):
        np.testing.assert_allclose(one.grad, other.grad, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masked_places_have_no_weight_and_the_rest_sum_to_one(dtype):
    rng = np.random.default_rng(1)
    q, k, v = (20 * rng.standard_normal((3, 2, 8, 4))).astype(dtype)
    mask = rng.random((2, 1, 8, 8)) < 0.4
    mask[0, 0, 3] = False
    output, weights = attention(q, k, v, mask, sparse=True)
    assert not weights.data[~mask].any()
    np.testing.assert_allclose(weights.data.sum(axis=-1), mask.any(axis=-1), rtol=1e-6)
    assert not output.data[0, 3].any() and output.dtype == dtype


def test_block_chooses_and_names_what_it_does_not_know():
    rng = np.random.default_rng(2)
    x = 5 * rng.standard_normal((4, 9, 8))
    dense = Block(8, 2, 2.0, np.random.default_rng(0), dtype=np.float64)
    sparse = Block(8, 2, 2.0, np.random.default_rng(0), attention="sparsemax", dtype=np.float64)
    assert (dense(x)[1] > 0).all() and (sparse(x)[1] == 0).mean() > 0.2
    with pytest.raises(ValueError, match="Block: attention: got 'entmax', expected softmax or sparsemax"):
        Block(8, 2, 2.0, rng, attention="entmax")
