"""The words of each text out of padded tokens."""

from mini_repr.backend import backend_of, is_array


def each_text(metric, tokens, mask, least):
    """A list of (T_i, D) arrays, the tokens of each text where ``mask`` is True, of texts with ``least`` or more.

    Args:
        tokens: (B, T, D) float32 or float64. mask: (B, T) booleans, or None for all.
    Raises:
        ValueError: shapes or types; no text that long.
    """
    if not is_array(tokens) or tokens.ndim != 3 or tokens.dtype not in ("float32", "float64"):
        got = f"{tokens.dtype} {tokens.shape}" if is_array(tokens) else type(tokens).__name__
        raise ValueError(f"{metric}: tokens must be float32 or float64 (B, T, D), got {got}")
    if mask is None:
        mask = backend_of(tokens).xp.ones(tokens.shape[:2], dtype=bool)
    if not is_array(mask) or mask.dtype.kind != "b" or mask.shape != tokens.shape[:2]:
        got = f"{mask.dtype} {mask.shape}" if is_array(mask) else type(mask).__name__
        raise ValueError(f"{metric}: mask must be booleans {tokens.shape[:2]}, got {got}")
    texts = [text[words] for text, words in zip(tokens, mask, strict=True)]
    texts = [text for text in texts if text.shape[0] >= least]
    if not texts:
        raise ValueError(f"{metric}: no text has {least} or more tokens")
    return texts
