"""Masks over fixed weights: which of a trained network's weights to use, learnt in place of new weights.

Definition. A weight W is never changed. Real scores S of its shape, compared with a threshold, say which of its numbers
are used, and the layer computes with

    Ŵ = W ∘ M,     M = 1[S > threshold]

Gradient. The threshold passes the gradient on as if it were the identity, dS = dŴ ∘ W: a weight that would lower the
loss raises its score, and a weight of 0 never moves its own. (The true derivative is 0.) W receives none.

Source. Zhao, Lin, Mi, Jaggi, Schütze 2020, arXiv 2004.12406, section 3. Compared with ptlmasking/maskbert,
code/masking/maskers.py (read, not run): threshold 0.01 and scores that start at 0 or twice that; its "uniform" draws
the zeros with replacement, so that there are fewer of them.
"""

from contextlib import contextmanager

import numpy as np

from mini_repr.autograd import Tensor, primitive
from mini_repr.backend import backend_of
from mini_repr.nn.module import Module


@primitive
def thresholded(scores, /, weight, threshold):
    """weight ∘ 1[scores > threshold]; backward: the gradient times the weight, as if the threshold passed it on."""
    return weight * (scores > threshold), lambda g: g * weight


class WeightMasks(Module):
    """Scores over the weights of some layers, and the layers' weights as these say.

    The layers hold the masked weights whenever nothing is trained, so that whoever uses them uses the masked network;
    the weights themselves are a buffer here.

    Args:
        layers: list of modules with a ``weight`` (a Tensor), whose weights are frozen here.
        rng: host generator. zeros: share of each weight that starts masked. start: which: "uniform", any; "magnitude",
            the smallest.
    """

    def __init__(self, layers, rng, *, threshold=0.01, zeros=0.05, start="uniform"):
        self.threshold = threshold
        self._layers = layers
        self.masked = [_Masked(layer.weight, rng, threshold, zeros, start) for layer in layers]
        for layer in layers:
            layer.weight.requires_grad = False
        self.write()

    @contextmanager
    def learning(self):
        """Within this block the layers compute with weights through which the scores get their gradient."""
        fixed = [layer.weight for layer in self._layers]
        try:
            for layer, one in zip(self._layers, self.masked, strict=True):
                layer.weight = thresholded(one.scores, weight=one.weight, threshold=self.threshold)
            yield
        finally:
            for layer, weight in zip(self._layers, fixed, strict=True):
                layer.weight = weight

    def write(self):
        """Give the layers their weights as the scores are now."""
        for layer, one in zip(self._layers, self.masked, strict=True):
            layer.weight.data[...] = one.weight * (one.scores.data > self.threshold)

    def take(self):
        """Take the layers' present weights as the ones to mask, after these were loaded from elsewhere."""
        for layer, one in zip(self._layers, self.masked, strict=True):
            one.weight[...] = layer.weight.data
        self.write()

    def bits(self):
        """The masks, one bit a weight: a list of host arrays of bytes, in the order of the layers."""
        masks = (backend_of(one.weight).to_numpy(one.scores.data > self.threshold) for one in self.masked)
        return [np.packbits(mask) for mask in masks]

    def load_bits(self, bits):
        """Take masks that ``bits`` gave.

        Raises:
            ValueError: arrays of another number or size.
        """
        sizes, expected = [len(one) for one in bits], [-(-one.weight.size // 8) for one in self.masked]
        if sizes != expected:
            raise ValueError(f"WeightMasks: bits: got {sizes} bytes, expected {expected}")
        for one, packed in zip(self.masked, bits, strict=True):
            mask = np.unpackbits(packed, count=one.weight.size).reshape(one.weight.shape)
            scores = (2 * self.threshold * mask).astype(one.weight.dtype)
            one.scores.data[...] = backend_of(one.weight).asarray(scores)
        self.write()


class _Masked(Module):
    """One weight and its scores."""

    def __init__(self, weight, rng, threshold, zeros, start):
        order = rng.random(weight.shape) if start == "uniform" else np.abs(weight.data)
        rank = np.argsort(np.argsort(order, axis=None, kind="stable"), kind="stable").reshape(weight.shape)
        used = rank >= round(zeros * weight.size)
        self.scores = Tensor((2 * threshold * used).astype(weight.dtype), requires_grad=True)
        self.register_buffer("weight", weight.data.copy())
