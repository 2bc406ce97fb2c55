"""How well a network has forgotten: four accuracies in percent, and their distance from a network trained anew.

    UA   100 - accuracy on the forget rows            RA   accuracy on the retain rows
    TA   accuracy on test rows                        MIA  share of forget rows judged to be no training rows

The judge is a threshold on the loss of the true label: the one that best tells retain rows (below) from test rows
(above), both kinds counting half. No number is good alone: a network that was retrained on the retain rows alone
says what each should be.

Source: the measures of Jia et al. 2023, arXiv 2304.04934, and Fan et al. 2023, arXiv 2310.12508, whose attack is a
trained classifier of the outputs where this is a threshold.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.autograd import Tensor, log_softmax, no_grad


class UnlearningScores(NamedTuple):
    """UA, RA, TA and MIA, in percent."""

    UA: float
    RA: float
    TA: float
    MIA: float


def unlearning_scores(net, forget, retain, test):
    """The scores of a network.

    Args:
        net: a module from rows to scores over classes. forget, retain, test: (x, labels) each.
    """
    right, losses = {}, {}
    for name, (x, labels) in (("forget", forget), ("retain", retain), ("test", test)):
        scores, losses[name] = outputs(net, x, labels)
        right[name] = 100 * float((scores.argmax(axis=1) == labels).mean())
    threshold = best_threshold(losses["retain"], losses["test"])
    outside = 100 * float((losses["forget"] > threshold).mean())
    return UnlearningScores(100 - right["forget"], right["retain"], right["test"], outside)


def average_gap(scores, retrained):
    """The mean absolute difference of the four scores from those of the network trained anew."""
    return float(np.mean(np.abs(np.subtract(scores, retrained))))


def outputs(net, x, labels):
    """(scores (N, C), losses of the true labels (N,)) in evaluation mode."""
    net.eval()
    with no_grad():
        scores = net(Tensor(x))
        losses = -log_softmax(scores).data[np.arange(len(x)), labels]
    return scores.data, losses


def best_threshold(low, high):
    """The number that best parts ``low`` values (at or below it) from ``high`` ones; of ties the lowest."""
    edges = np.unique(np.concatenate([low, high]))
    below, above = np.sort(low), np.sort(high)
    right = (
        np.searchsorted(below, edges, side="right") / len(low)
        + 1
        - np.searchsorted(above, edges, side="right") / len(high)
    )
    return float(edges[right.argmax()])
