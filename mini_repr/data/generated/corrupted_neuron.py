"""One ReLU neuron whose labels an adversary has changed where it hurts."""

from typing import NamedTuple

import numpy as np

LAWS = ("gaussian", "exponential")
ATTACKS = ("zero", "triple")


class CorruptedNeuron(NamedTuple):
    """x (N, D); y (N,) labels, some changed; weights (D,) of length 1; changed (N,) bool: whose label was."""

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    changed: np.ndarray


def corrupted_neuron(count, width, share, rng, law="gaussian", attack="zero"):
    """Labels relu(x w) of random rows, the worst ``share`` of them changed.

    "zero" takes the labels of the rows with the largest x w to 0; "triple" multiplies those of the rows that reach
    furthest along a direction orthogonal to w by 3, which pulls a fit that way. After either the planted w need not be
    the best neuron. Source: own, for the setting of Wang et al. 2023, arXiv 2306.07892. For row 078 (single neuron).

    Args:
        share: of the labels to change, 0 to 1.
        law: of the coordinates of x: "gaussian" standard normal, or "exponential" minus 1/2 (log-concave, not centred).
    Raises:
        ValueError: a share outside of [0, 1], or an unknown law or attack.
    """
    for name, value, known in (("law", law, LAWS), ("attack", attack, ATTACKS)):
        if value not in known:
            raise ValueError(f"corrupted_neuron: {name} is {value!r}, expected {' or '.join(known)}")
    if not 0 <= share <= 1:
        raise ValueError(f"corrupted_neuron: share is {share}, expected 0 to 1")
    x = rng.normal(size=(count, width)) if law == "gaussian" else rng.exponential(size=(count, width)) - 0.5
    weights, other = np.linalg.qr(rng.normal(size=(width, 2)))[0].T
    y = np.maximum(x @ weights, 0)
    changed = np.zeros(count, dtype=bool)
    changed[np.argsort(-(x @ (weights if attack == "zero" else other)), kind="stable")[: round(share * count)]] = True
    return CorruptedNeuron(x, np.where(changed, 0 if attack == "zero" else 3 * y, y), weights, changed)
