"""Which pairs count: masks negated, with the diagonal or without it, one half only; sums restricted to a mask."""

import ast

from mini_repr.conformance.rewrites.kinds import kind_of
from mini_repr.conformance.rewrites.scope import Change, reduction_of, text_of, with_keywords

WHOLE = {
    "{} is negated": "~X",
    "{} is left out: all count": "np.ones(X.shape, dtype=bool)",
}
OF_PAIRS = {
    "{} without the pairs i = i": "X & ~np.eye(len(X), dtype=bool)",
    "{} with the pairs i = i": "X | np.eye(len(X), dtype=bool)",
    "{} of pairs i < j only": "np.triu(X, 1)",
    "{} of pairs i > j only": "np.tril(X, -1)",
}
# X a sum of pairs, M a mask in scope.
RESTRICTED = {
    "sum": "(X * M).sum(KEYWORDS)",
    "mean": "(X * M).sum(KEYWORDS) / M.sum(KEYWORDS)",
    "logsumexp": "logsumexp(where(M, X, -np.inf), KEYWORDS)",
    "max": "where(M, X, -np.inf).max(KEYWORDS)",
}


def mask_changes(node, scope):
    """Changes of a mask, and of what is summed over pairs."""
    kind = kind_of(node)
    if kind.what == "mask":
        for words, template in (WHOLE | (OF_PAIRS if kind.square else {})).items():
            yield Change(words.format(text_of(node)), scope.made(template, X=node))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        yield from _own_sums(node, scope)
    found = reduction_of(node)
    if found and found[0] in RESTRICTED and kind.what == "tensor" and len(kind_of(found[1]).shape) == 2:
        yield from _restricted(found, scope)


def _own_sums(node, scope):
    """A log-sum-exp of each entry with those outside a mask, in place of one for the row."""
    shape = kind_of(node.left).shape
    if len(shape) != 2 or kind_of(node.right).shape != (shape[0], 1):
        return
    for name, kind in scope.kinds.items():
        if kind.what == "mask" and kind.shape == shape:
            others = f"logsumexp(where(~{name}, X, -np.inf), axis=1, keepdims=True)"
            new = scope.made(f"X - log(exp(X) + exp({others}))", X=node.left)
            yield Change(f"a log-sum-exp for each entry: itself and ~{name}", new)


def _restricted(found, scope):
    name, over, keywords = found
    shape = kind_of(over).shape
    masks = {n: n for n, k in scope.kinds.items() if k.what == "mask" and k.shape == shape}
    masks |= {f"~{n}": f"~{n}" for n in masks}
    if kind_of(over).square:
        masks |= {
            "the pairs i != j": "~np.eye(len(X), dtype=bool)",
            "the pairs i < j": "np.triu(np.ones(X.shape, dtype=bool), 1)",
        }
    for words, mask in masks.items():
        template = RESTRICTED[name].replace("M", f"({mask})")
        yield Change(f"{name} over {words} only", with_keywords(scope, template, keywords, X=over))
