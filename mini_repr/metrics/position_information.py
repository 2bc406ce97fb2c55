"""How much the cluster of a token tells of where the token is."""

import math

from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper="049")
def position_information(scores: Rows("N P K")):
    """Mutual information of a token's position and its cluster, in nats.

    With k(n, p) the cluster of the highest score, q(p, k) its share of the N P tokens and q(p) = 1/P,

        I = sum_pk q(p, k) log[q(p, k) / (q(p) q(k))],        0 <= I <= log min(P, K)

    0 where all clusters are as frequent at one position as at another. It is biased upwards where N is small against K.

    Source: Darcet et al. 2025, arXiv 2502.08769, section 3.2, describe the positional collapse that this measures.

    Args:
        scores: of tokens (images, positions) for clusters.
    """
    xp = backend_of(scores).xp
    images, positions, clusters = scores.shape
    chosen = scores.argmax(axis=-1)[..., None] == xp.arange(clusters)
    joint = chosen.sum(axis=0) / (images * positions)
    independent = joint.sum(axis=0) / positions
    return float((joint * xp.log(xp.where(joint > 0, joint / xp.maximum(independent, 1e-300), 1))).sum())


@definition(position_information)
def position_information_definition(scores):
    images, positions, clusters = scores.shape
    count = [[0] * clusters for _ in range(positions)]
    for image in scores:
        for p in range(positions):
            count[p][int(image[p].argmax())] += 1
    total = 0.0
    for p in range(positions):
        for k in range(clusters):
            if count[p][k]:
                q = count[p][k] / (images * positions)
                of_cluster = sum(count[other][k] for other in range(positions)) / (images * positions)
                total += q * math.log(q * positions / of_cluster)
    return total
