"""Patches that do not touch: each taken from its own cell of the image, with a gap to its neighbours.

Source: Wei et al. 2024, arXiv 2407.15837, section 4; official code yibingwei-1/LatentMIM, vits.py (Patchify).
"""

import numpy as np

from mini_repr.backend import backend_of


def spaced_patches(rng, images, patch, gap):
    """Images whose patches were neighbours no more: enlarged, cut into cells, a patch taken at random in each cell.

    With P = patch, an image of R x S patches is enlarged to R (P + gap) x S (P + gap) pixels (bilinear). Of each cell
    of (P + gap)² pixels one patch stays, which begins so many rows and columns into it as are drawn from 0 .. gap - 1:
    as in the official code, a pixel or more is between any two.

    Args:
        rng: host generator. images: (B, C, H, W), H and W multiples of ``patch``.
    Returns:
        (B, C, H, W), on the images' device; the images themselves where gap is 0.
    Raises:
        ValueError: a patch that does not divide H and W, or a negative gap.
    """
    batch, channels, height, width = images.shape
    if patch < 1 or height % patch or width % patch or gap < 0:
        raise ValueError(
            f"spaced_patches: patch {patch}, gap {gap}, images {height} x {width}; expected a patch that divides both "
            "and a gap of 0 or more"
        )
    if gap == 0:
        return images
    backend, cell, grid = backend_of(images), patch + gap, (height // patch, width // patch)
    for axis, count in ((2, grid[0]), (3, grid[1])):
        images = _enlarged(images, axis, count * cell)
    # One row of numbers per image in each, so that ranks can share them out.
    offsets = [rng.integers(gap, size=(batch, *grid, 1)) for _ in range(2)]
    starts = [cell * number[..., None] for number in np.indices(grid)]
    rows, columns = (start + offset + np.arange(patch) for start, offset in zip(starts, offsets, strict=True))
    # (B, R, S, P, P) each, and the channels last: (B, R, S, P, P, C).
    places = (np.arange(batch)[:, None, None, None, None], rows[..., :, None], columns[..., None, :])
    taken = images.transpose(0, 2, 3, 1)[tuple(map(backend.asarray, places))]
    return taken.transpose(0, 5, 1, 3, 2, 4).reshape(batch, channels, height, width)


def _enlarged(images, axis, size):
    """Images of ``size`` pixels along an axis, by linear interpolation between the pixels' centres."""
    old = images.shape[axis]
    places = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
    weights = np.maximum(1 - abs(places[:, None] - np.arange(old)), 0)
    weights = backend_of(images).asarray(weights, dtype=images.dtype)
    return weights @ images if axis == 2 else images @ weights.T
