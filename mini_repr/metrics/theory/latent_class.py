"""The latent-class bound: a low contrastive loss means a low loss of the mean classifier.

Classes c have probability ρ_c. An anchor x and its partner x⁺ are drawn independently from the same class c ~ ρ, the
negative x⁻ from a class c⁻ ~ ρ. With rows f(x) as they are, not normalised,

    L_un  = E l( f(x)·(f(x⁺) - f(x⁻)) ),          l(v) = log(1 + e^{-v})  (logistic)  or  max(0, 1 - v)  (hinge)
    L_sup = E[ l( f(x)·(µ_c - µ_c⁻) ) | c ≠ c⁻ ],  µ_c the mean of f over class c: the classifier with weights µ_c
    τ     = P(c = c⁻) = sum_c ρ_c²

The bound. l is convex, so that Jensen's inequality over x⁺ and x⁻ gives L_un >= (1 - τ) L_sup + τ l(0), that is

    L_sup <= (L_un - τ l(0)) / (1 - τ) = L_different + τ / (1 - τ) (L_same - l(0))

where L_different and L_same are L_un given c ≠ c⁻ and c = c⁻. What a negative of the anchor's own class costs is at
most the spread of classes: l has slopes from -1 to 0, so that

    L_same - l(0) <= √2 s,    s = sum_c ν_c √λ_c E[|f(x)| | c],    ν_c = ρ_c² / τ,  λ_c the largest variance in class c

Here the distribution is a finite pool: the labelled rows given, ρ_c their frequencies, every draw with replacement,
so that a partner may be the anchor itself. Then all of this is exact for every f.

Source: Arora, Khandeparkar, Khodak, Plevrakis, Saunshi 2019, arXiv 1902.09229, lemma 4.3 (the bound; there with base-2
logarithms, l(0) = 1), theorem 4.5 (the form with s). The constant √2 is derived here: f(x)·(f(x⁺) - f(x⁻)) has mean 0
given x, variance at most 2 λ_c |f(x)|², and l(v) <= l(0) + |v|.
"""

import math
from typing import NamedTuple

import numpy as np

from mini_repr.pages.arguments import Choice, Labels, Rows
from mini_repr.pages.declare import theorem
from mini_repr.pages.page import definition

LOSSES = {"logistic": lambda v: np.logaddexp(0, -v), "hinge": lambda v: np.maximum(0, 1 - v)}


class LatentClassBound(NamedTuple):
    """L_un, the bound, L_sup, L_different, L_same, s, τ; accuracies of the mean classifier, of two classes and all."""

    unsupervised: float
    bound: float
    supervised: float
    different: float
    same: float
    spread: float
    collision: float
    two_way: float
    accuracy: float


@theorem(paper="010", sizes={"N": 8})
def latent_class_bound(z: Rows("N D"), labels: Labels("N"), loss: Choice("logistic", "hinge") = "logistic"):
    """Contrastive loss of a labelled pool, and the loss of its mean classifier, which it bounds.

    Time: rows times pairs of rows of one class. Two rows that tie count half in ``two_way``, the accuracy of the mean
    classifier for two different classes.

    Args:
        z: rows f(x) of the whole pool. labels: two classes or more.
    Raises:
        ValueError: rows of one class only.
    """
    classes, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError("latent_class_bound: labels: got one class, expected two or more")
    losses, rho = LOSSES[loss], counts / len(z)
    same_class = codes[:, None] == codes
    tau = float((rho**2).sum())

    similarity, same, every = z @ z.T, 0.0, 0.0
    for own, row in zip(same_class, similarity, strict=True):  # an anchor with all its partners and negatives
        values = losses(row[own, None] - row).mean(axis=0)
        same += values[own].sum() / len(z) ** 2
        every += values.sum() / len(z) ** 2

    means = np.stack([z[codes == c].mean(axis=0) for c in range(len(classes))])
    scores = z @ means.T
    margins = scores[np.arange(len(z)), codes][:, None] - scores
    # Pairs of an anchor and another class, each with the probability of the class.
    other = np.where(codes[:, None] == np.arange(len(classes)), 0, rho) / len(z) / (1 - tau)

    nu = rho**2 / tau
    variances = [np.linalg.svd(z[codes == c] - means[c], compute_uv=False)[0] ** 2 for c in range(len(classes))]
    norms = [np.linalg.norm(z[codes == c], axis=1).mean() for c in range(len(classes))]
    return LatentClassBound(
        unsupervised=float(every),
        bound=float(every - tau * losses(0.0)) / (1 - tau),
        supervised=float((other * losses(margins)).sum()),
        different=float(every - same) / (1 - tau),
        same=float(same) / tau,
        spread=float((nu * np.sqrt(variances / counts) * norms).sum()),
        collision=tau,
        two_way=float((other * np.heaviside(margins, 0.5)).sum()),
        accuracy=float((scores.argmax(axis=1) == codes).mean()),
    )


@definition(latent_class_bound)
def latent_class_bound_definition(z, labels, loss):
    def losses(v):
        return math.log(1 + math.exp(-v)) if loss == "logistic" else max(0.0, 1 - v)

    rows, n = list(zip(z, labels.tolist(), strict=True)), len(z)
    pool = {c: [row for row, label in rows if label == c] for c in sorted(set(labels.tolist()))}
    mean = {c: sum(own) / len(own) for c, own in pool.items()}
    tau = sum((len(own) / n) ** 2 for own in pool.values())
    # {whether c = c⁻: [(probability, loss), ...]} over anchors, partners and negatives.
    drawn = {True: [], False: []}
    for x, c in rows:
        for partner in pool[c]:
            for negative, other in rows:
                drawn[c == other].append((1 / n / len(pool[c]) / n, losses(x @ (partner - negative))))
    sums = {same: sum(p * value for p, value in drawn[same]) for same in drawn}
    margins = [(1 / n * len(pool[k]) / n, x @ (mean[c] - mean[k])) for x, c in rows for k in pool if k != c]
    spread = 0.0
    for own in pool.values():
        norm = sum(math.sqrt(x @ x) for x in own) / len(own)
        variance = np.linalg.eigvalsh(np.cov(np.transpose(own), ddof=0))[-1]
        spread += (len(own) / n) ** 2 / tau * math.sqrt(variance) * norm
    found = [max(pool, key=lambda k, x=x: x @ mean[k]) == c for x, c in rows]
    return LatentClassBound(
        unsupervised=sums[True] + sums[False],
        bound=(sums[True] + sums[False] - tau * losses(0.0)) / (1 - tau),
        supervised=sum(p * losses(v) for p, v in margins) / (1 - tau),
        different=sums[False] / (1 - tau),
        same=sums[True] / tau,
        spread=spread,
        collision=tau,
        two_way=sum(p * (1.0 if v > 0 else 0.5 if v == 0 else 0.0) for p, v in margins) / (1 - tau),
        accuracy=sum(found) / n,
    )
