"""Fewer tokens that stand for all: clusters of a layer's tokens, each replaced by its centre.

Source: Marin et al. 2021, arXiv 2110.03860: weighted K-means and K-medoids, the weight of a token the attention that it
receives. No official code was found: the start (the tokens of largest weight) and the number of rounds are this page's;
a port (JoakimHaurum/TokenReduction) takes the same, but weighs a cluster's candidates rather than its members.
"""

from mini_repr.autograd import primitive
from mini_repr.backend import backend_of

METHODS = ("medoids", "means", "top")
ROUNDS = 5


@primitive
def pool_tokens(tokens, /, weights, count, method="medoids", rounds=ROUNDS):
    """``count`` centres (B, K, D) of the tokens (B, N, D) of each image, and which one each token has: (B, N).

    "means": Lloyd's rounds lower sum_i w_i |f_i - c_{k(i)}|², with each centre the weighted mean of its members.
    "medoids": each centre is the member m of its cluster with the least sum_j w_j |f_j - f_m|². "top": the tokens of
    largest weight stay, the others are dropped (and count with the nearest). Centres stand in the order of their first
    tokens' weights; ties go to the lower index. Which token belongs where is taken as constant: a centre's gradient
    goes to its medoid, or to its members by their share of the weight.

    Args:
        weights: (B, N) >= 0. count: K; N or more leaves the tokens as they are.
        rounds: of assignment and new centres.
    Raises:
        ValueError: fewer than one centre, or an unknown method.
    """
    if count < 1 or method not in METHODS:
        raise ValueError(f"pool_tokens: count {count}, method {method!r}; expected 1 or more, {', '.join(METHODS)}")
    xp = backend_of(tokens).xp
    batch, number, _ = tokens.shape
    if count >= number:
        everyone = xp.broadcast_to(xp.arange(number), (batch, number))
        return (tokens.copy(), everyone), lambda gradients: gradients[0]
    images = xp.arange(batch)[:, None]
    chosen = xp.argsort(-weights, axis=1, kind="stable")[:, :count]
    squares = (tokens * tokens).sum(axis=2)
    apart = squares[:, :, None] + squares[:, None] - 2 * (tokens @ tokens.swapaxes(1, 2))  # (B, N, N)
    centres, shares = tokens[images, chosen], None
    for _ in range(rounds if method != "top" else 0):
        belongs = _nearest(xp, tokens, squares, centres)[:, :, None] == xp.arange(count)  # (B, N, K)
        own = belongs * weights[:, :, None]
        if method == "means":
            total = own.sum(axis=1, keepdims=True)
            shares = (own / xp.where(total > 0, total, 1)).astype(tokens.dtype)
            new = shares.swapaxes(1, 2) @ tokens
            centres = xp.where(total.swapaxes(1, 2) > 0, new, centres)  # an empty cluster keeps its centre
        else:
            cost = xp.where(belongs, apart @ own, xp.inf)
            chosen = xp.where(belongs.any(axis=1), cost.argmin(axis=1), chosen)
            centres = tokens[images, chosen]
    member = _nearest(xp, tokens, squares, centres)

    def backward(gradients):
        g = gradients[0]
        if shares is not None:
            return shares @ g
        g_tokens = xp.zeros_like(tokens)
        backend_of(g).scatter_add(g_tokens, (images, chosen), g)
        return g_tokens

    return (centres, member), backward


def _nearest(xp, tokens, squares, centres):
    """(B, N): the number of each token's nearest centre."""
    away = squares[:, :, None] + (centres * centres).sum(axis=2)[:, None] - 2 * (tokens @ centres.swapaxes(1, 2))
    return away.argmin(axis=2)


def significance(attention):
    """(B, N): the attention that each token receives, summed over heads and queries: of weights (B, heads, M, N)."""
    return attention.sum(axis=(1, 2))
