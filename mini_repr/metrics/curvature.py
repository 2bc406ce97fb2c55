"""How sharply the path of a text's tokens turns."""

import math
from itertools import pairwise

from mini_repr.backend import backend_of
from mini_repr.metrics.tokens import each_text
from mini_repr.pages.arguments import Choice, Mask, Optional, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper="048", sizes={"T": 6})
def curvature(tokens: Rows("B T>=3 D"), mask: Optional(Mask("B T")) = None, of: Choice("steps", "states") = "steps"):
    """Mean turn, in radians, of the path of a text's words.

    With v_t = z_{t+1} - z_t, the mean over t of arccos(v_t·v_{t+1} / |v_t| |v_{t+1}|), and over texts: 0 on a straight
    line, pi/2 for unrelated steps, up to pi. A vector of length 0 counts as no turn. Texts of fewer than three tokens
    are left out. ``of="states"`` takes the angles between consecutive z_t themselves, as the official code of the
    layers paper does (OFSkean/information_flow, compute_curvature, on unit rows); its formula is that of steps.

    Source: Skean et al. 2025, arXiv 2502.02013, after Hosseini & Fedorenko 2023, arXiv 2311.04930.

    Args:
        mask: (B, T) booleans, True at words.
    Raises:
        ValueError: also where no text has three or more tokens.
    """
    texts = each_text("curvature", tokens, mask, least=3)
    return sum(_mean_turn(text, of) for text in texts) / len(texts)


@definition(curvature)
def curvature_definition(tokens, mask, of):
    texts = list(tokens) if mask is None else [text[words] for text, words in zip(tokens, mask, strict=True)]
    means = []
    for text in texts:
        if len(text) < 3:
            continue
        path = [text[t + 1] - text[t] for t in range(len(text) - 1)] if of == "steps" else list(text)
        turns = []
        for v, w in pairwise(path):
            lengths = math.sqrt(float(v @ v) * float(w @ w))
            cosine = float(v @ w) / lengths if lengths else 1.0
            turns.append(math.acos(max(-1.0, min(1.0, cosine))))
        means.append(sum(turns) / len(turns))
    return sum(means) / len(means)


def _mean_turn(path, of):
    xp = backend_of(path).xp
    vectors = (path[1:] - path[:-1] if of == "steps" else path).astype("float64")
    sizes = xp.linalg.norm(vectors, axis=1)
    directions = vectors / xp.where(sizes == 0.0, 1.0, sizes)[:, None]
    cosines = xp.clip((directions[1:] * directions[:-1]).sum(axis=1), -1.0, 1.0)
    still = (sizes[1:] == 0.0) | (sizes[:-1] == 0.0)
    return float(xp.where(still, 0.0, xp.arccos(cosines)).mean())
