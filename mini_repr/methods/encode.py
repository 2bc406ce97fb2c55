"""Rows of a trained encoder: evaluation mode, in batches, from host inputs to host rows."""

from contextlib import contextmanager

import numpy as np

from mini_repr.autograd import no_grad


def encode(encoder, inputs, backend, batch=512):
    """Pooled rows (N, D) on the host of host images (N, C, H, W) or a list of texts, in evaluation mode."""
    return _in_batches(encoder, lambda *arrays: [encoder(*arrays).pooled], inputs, backend, batch)[0]


def encode_tokens(encoder, inputs, backend, batch=512):
    """Tokens (N, P, D) of an encoder that has some, likewise."""
    return _in_batches(encoder, lambda *arrays: [encoder(*arrays).tokens], inputs, backend, batch)[0]


def encode_layers(encoder, inputs, backend, batch=512):
    """Rows (N, D) of every layer, likewise: a list, first layer first."""
    return _in_batches(encoder, encoder.layer_rows, inputs, backend, batch)


def encode_layer_tokens(encoder, inputs, backend):
    """Tokens of every layer of an encoder that has ``layer_tokens``, all inputs at once.

    Returns:
        (list of (N, T, D), first layer first; (N, T) booleans, True at words, or None for images), on the host.
    """
    arrays = _arrays(encoder, inputs, backend)
    with _evaluating(encoder):
        tokens = [backend.to_numpy(one.data) for one in encoder.layer_tokens(*arrays)]
    return tokens, backend.to_numpy(arrays[1]) if len(arrays) > 1 else None


def encode_layer_codes(encoder, images, backend):
    """CRATE's ``layer_codes`` on the host, all images at once: a list of (tokens in subspaces, tokens out, heads)."""
    with _evaluating(encoder):
        codes = encoder.layer_codes(backend.asarray(images))
    return [(backend.to_numpy(one.data), backend.to_numpy(out.data), heads) for one, out, heads in codes]


def _in_batches(encoder, rows_of, inputs, backend, batch):
    found = []  # whole arrays, filled as batches come: the rows are never there twice
    with _evaluating(encoder):
        for start in range(0, len(inputs), batch):
            rows = [z.data for z in rows_of(*_arrays(encoder, inputs[start : start + batch], backend))]
            found = found or [np.empty((len(inputs), *z.shape[1:]), z.dtype) for z in rows]
            for whole, z in zip(found, rows, strict=True):
                whole[start : start + len(z)] = backend.to_numpy(z)
    return found


@contextmanager
def _evaluating(encoder):
    """Evaluation mode without recording; the mode before it afterwards."""
    was_training = encoder.training
    encoder.eval()
    try:
        with no_grad():
            yield
    finally:
        encoder.train(was_training)


def _arrays(encoder, inputs, backend):
    return encoder.tokenise(inputs) if isinstance(inputs, list) else [backend.asarray(inputs)]
