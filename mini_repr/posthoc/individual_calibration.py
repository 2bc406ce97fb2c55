"""Individual calibration: a classifier is tuned on noisy labels while its rows stay near those learnt without labels.

An encoder g that was trained without labels gave the rows z⁰ = g(x), and is now tuned together with a linear head. With
pairs (i, j) of a batch, m ~ Beta(a, a) and x̃ = m x_i + (1 - m) x_j,

    L = m l(x̃, y_i) + (1 - m) l(x̃, y_j)  +  λ |g(x_i) - z⁰_i|² / mean |z⁰|²  +  mean over samples of l(head(s), y_s)

each a mean over the batch; l is the cross-entropy of the head's scores. The first part is mixup: between two images
nothing is to be learnt by heart. The second keeps rows where the labels' noise cannot have put them. The third, where
there are some, are samples s of class Gaussians (``class_gaussians``), which are clean and balanced; they reach the
head alone.

Source: Zhang et al. 2022, arXiv 2211.10955, representation calibration, individual part: the distance to the
contrastive rows, and mixup (Zhang et al. 2017, arXiv 1710.09412). λ, the division by the rows' mean square, a = 1 and
the sum of the three parts are our reading; no code was found. Batch norms keep their statistics.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.autograd import Tensor, no_grad
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.nn import Linear, Module
from mini_repr.optim import AdamW
from mini_repr.pages.arguments import Count, Labels, NonNegative, Optional, Positive, Rows
from mini_repr.pages.declare import procedure


class Calibrated(NamedTuple):
    """encoder: as tuned. head: from its pooled rows to scores over classes."""

    encoder: Module
    head: Module

    def scores(self, images):
        """Scores (N, C) as an array."""
        with no_grad():
            return self.head(self.encoder(images).pooled).data


@procedure(paper="039")
def tune_calibrated(
    encoder,
    images: Rows("N C H W", frozen=True),
    labels: Labels("N"),
    samples: Optional(Rows("S D", frozen=True)) = None,
    sample_labels: Optional(Labels("S")) = None,
    distance: NonNegative = 1.0,
    mixup: NonNegative = 1.0,
    epochs: Count() = 30,
    lr: Positive = 1e-3,
    batch_size: Count(least=2) = 64,
    seed: Count(least=0) = 0,
):
    """Tune an encoder in place, with a new head, on noisy labels; returns both as ``Calibrated``.

    Args:
        encoder: a module from images to an object with ``.pooled`` (N, D). samples, sample_labels: (S, D) rows and
            their classes for the head; None for none. distance: λ. mixup: a of Beta(a, a); 0 mixes nothing.
    Raises:
        ValueError: samples without labels, or the other way round, and what the annotations refuse.
    """
    if (samples is None) != (sample_labels is None):
        raise ValueError("tune_calibrated: samples: got some without sample_labels, or labels alone, expected both")
    rng = np.random.default_rng(seed)
    encoder.eval()
    with no_grad():
        before = encoder(images).pooled.data
    classes = int(max(labels.max(), 0 if sample_labels is None else sample_labels.max())) + 1
    if samples is not None and samples.shape[1] != before.shape[1]:
        raise ValueError(
            f"tune_calibrated: samples: got rows of {samples.shape[1]} numbers, "
            f"expected {before.shape[1]}, the encoder's"
        )
    head = Linear(before.shape[1], classes, rng, dtype=before.dtype.type)
    optimizer = AdamW(
        {f"{k}.{name}": p for k, part in enumerate((encoder, head)) for name, p in part.named_parameters().items()},
        lr,
        weight_decay=0.0,
    )
    weight = distance / max(float((before**2).sum(axis=1).mean()), 1e-12)
    for _ in range(epochs):
        order = rng.permutation(len(images))
        for start in range(0, len(order), batch_size):
            index = order[start : start + batch_size]
            loss = mixed_loss(encoder, head, images[index], labels[index], mixup, rng)
            if distance:
                away = encoder(images[index]).pooled - before[index]
                loss = loss + (away**2).sum(axis=1).mean() * weight
            if samples is not None:
                drawn = rng.choice(len(samples), min(len(index), len(samples)), replace=False)
                loss = loss + cross_entropy(head(Tensor(samples[drawn])), sample_labels[drawn])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return Calibrated(encoder, head)


def mixed_loss(encoder, head, images, labels, mixup, rng):
    """Cross-entropy of a batch, each image mixed with another where ``mixup`` is not 0."""
    if not mixup:
        return cross_entropy(head(encoder(images).pooled), labels)
    share, other = float(rng.beta(mixup, mixup)), rng.permutation(len(images))
    mixed = (share * images + (1 - share) * images[other]).astype(images.dtype)
    scores = head(encoder(mixed).pooled)
    return cross_entropy(scores, labels) * share + cross_entropy(scores, labels[other]) * (1 - share)
