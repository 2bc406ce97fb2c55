"""The measure of TLDR's claim, against a ranking written out by hand."""

import numpy as np
import pytest

from mini_repr.claims.tldr import mean_average_precision


def test_mean_average_precision_by_hand():
    angles = np.array([0.0, 10.0, 25.0, 45.0])  # degrees; each looks for its class among the others
    rows = 3 * np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))], axis=1)
    labels = np.array([0, 1, 0, 1])
    # Others by nearness, relevant ones in their places: 2nd of (1, 2, 3); 3rd of (0, 2, 3); 3rd of (1, 3, 0); 2nd of
    # (2, 1, 0).
    assert mean_average_precision(rows, labels) == pytest.approx((1 / 2 + 1 / 3 + 1 / 3 + 1 / 2) / 4)
    assert mean_average_precision(rows, np.zeros(4, int)) == 1.0
