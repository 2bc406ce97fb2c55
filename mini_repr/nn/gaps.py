"""Rows of some places and rows of the others, put in one order."""

import numpy as np

from mini_repr.autograd import concatenate
from mini_repr.backend import backend_of


def interleaved(shown, others, mask):
    """(B, P, D) of the rows (B, V, D) at the places that a host mask (B, P) leaves and (B, P - V, D) at those it hides.

    Both in order. Place p finds its row at the rank that a stable sort of the mask gives it.
    """
    place = np.argsort(np.argsort(mask, axis=1, kind="stable"), axis=1)
    backend = backend_of(shown.data)
    rows = backend.asarray(np.arange(len(mask))[:, None])
    return concatenate(shown, others, axis=1)[rows, backend.asarray(place)]


def at_places(tokens, places):
    """(B, M, D): the rows of tokens (B, T, D) at integers (B, M), on the host or the tokens' device."""
    backend = backend_of(tokens.data)
    return tokens[backend.xp.arange(len(tokens))[:, None], backend.asarray(places)]


def with_rows_at(tokens, rows, places):
    """(B, T, D): tokens, but at integers (B, K) on their device the rows (B, K, D)."""
    xp = backend_of(tokens.data).xp
    batch, length = tokens.shape[:2]
    source = xp.tile(xp.arange(length), (batch, 1))
    source[xp.arange(batch)[:, None], places] = length + xp.arange(places.shape[1])
    return at_places(concatenate(tokens, rows, axis=1), source)
