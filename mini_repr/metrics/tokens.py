"""The words of each text out of padded tokens."""


def each_text(name, tokens, mask, least):
    """A list of (T_i, D) arrays, the tokens of each text where ``mask`` is True, of texts with ``least`` or more.

    Args:
        name: of the metric, for errors. tokens: (B, T, D). mask: (B, T) booleans, or None for all.
    Raises:
        ValueError: no text is that long.
    """
    texts = list(tokens) if mask is None else [text[words] for text, words in zip(tokens, mask, strict=True)]
    texts = [text for text in texts if len(text) >= least]
    if not texts:
        raise ValueError(f"{name}: mask: got no text of {least} or more tokens, expected one at least")
    return texts
