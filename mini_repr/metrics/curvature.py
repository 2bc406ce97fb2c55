"""How sharply the path of a text's tokens turns."""

from mini_repr.backend import backend_of
from mini_repr.metrics.rows import checked_rows
from mini_repr.metrics.tokens import each_text


def curvature(tokens, mask=None, absolute=False):
    """Mean angle, in radians, between consecutive steps of the tokens (B, T, D) of a text; mean over texts.

    With v_t = z_{t+1} - z_t, the mean over t of arccos(v_t·v_{t+1} / |v_t| |v_{t+1}|): 0 on a straight line, pi/2 for
    unrelated steps, up to pi. A step of length 0 counts as no turn. Texts of fewer than three tokens are left out.
    ``absolute`` takes |cos|, at most pi/2, as the official code of the layers paper does; its formula does not.

    Source: Skean et al. 2025, arXiv 2502.02013, after Hosseini & Fedorenko 2023, arXiv 2311.04930.

    Args:
        mask: (B, T) booleans, True at words.
    Raises:
        ValueError: shapes, values that are not finite, no text of three or more tokens.
    """
    texts = each_text("curvature", tokens, mask, least=3)
    return sum(_mean_turn(checked_rows("curvature", "tokens", text), absolute) for text in texts) / len(texts)


def _mean_turn(path, absolute):
    xp = backend_of(path).xp
    steps = (path[1:] - path[:-1]).astype("float64")
    sizes = xp.linalg.norm(steps, axis=1)
    directions = steps / xp.where(sizes == 0.0, 1.0, sizes)[:, None]
    cosines = (directions[1:] * directions[:-1]).sum(axis=1)
    cosines = xp.clip(xp.abs(cosines) if absolute else cosines, -1.0, 1.0)
    still = (sizes[1:] == 0.0) | (sizes[:-1] == 0.0)
    return float(xp.where(still, 0.0, xp.arccos(cosines)).mean())
