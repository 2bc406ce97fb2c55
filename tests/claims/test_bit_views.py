"""Views of digits with bits beside them, and an encoder trained on them."""

import numpy as np
import pytest

from mini_repr.claims.bench.bit_views import BitViews, outputs, probes, trained_on_bits
from mini_repr.data import load
from mini_repr.losses.pairs.infonce import infonce


@pytest.mark.parametrize("keep", [1.0, 0.0])
def test_a_view_moves_pixels_and_keeps_its_share_of_bits(keep):
    views = BitViews(load("digits"), 3, keep, np.random.default_rng(0))
    index = np.arange(500)
    view = views(index)
    assert view.shape == (500, 64 + 12) and view.dtype == np.float32
    bits = view[:, 64::4]
    np.testing.assert_array_equal(view[:, 64:], np.repeat(bits, 4, axis=1))
    same = (bits == views.train.bits[:500]).mean()
    assert same == 1 if keep else 0.4 < same < 0.6
    assert not np.array_equal(view[:, :64], views.train.rows[:500, :64])


def test_an_encoder_learns_and_its_rows_are_probed():
    views, epochs = BitViews(load("digits"), 2, 1.0, np.random.default_rng(1)), []
    encoder = trained_on_bits(
        views, lambda a, b, index: infonce(a, b), 16, epochs=2, watch=lambda net, epoch: epochs.append(epoch)
    )
    found = probes(views, lambda rows: outputs(encoder, rows))
    assert epochs == [1, 2] and found["bit"] > 0.95 and found["digit"] > 0.4
