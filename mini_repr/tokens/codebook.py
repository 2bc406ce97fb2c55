"""A codebook of image patches: k-means centres, so that a patch has a number as a word has."""

import numpy as np
from scipy.cluster.vq import kmeans2

from mini_repr.backend import backend_of
from mini_repr.nn import patchify


def patch_codebook(images, patch, codes, rng):
    """The centres (codes, patch * patch * C) that k-means finds among the patches of images (N, C, H, W).

    k-means++ starts (Arthur, Vassilvitskii 2007), ten rounds. A fixed tokeniser of small images in place of a trained
    one (dVAE, VQ-GAN).

    Raises:
        ValueError: fewer distinct patches than codes.
    """
    patches = patchify(images, patch).reshape(-1, patch * patch * images.shape[1])
    distinct = len(np.unique(patches, axis=0))
    if distinct < codes:
        raise ValueError(f"patch_codebook: codes: got {codes}, expected at most the {distinct} distinct patches")
    centres = kmeans2(patches.astype(np.float64), codes, iter=10, minit="++", missing="warn", rng=rng)[0]
    return centres.astype(images.dtype)


def nearest_code(patches, codebook):
    """The number of the nearest centre, by Euclidean distance, of each patch (..., Q): integers (...,)."""
    xp = backend_of(patches).xp
    return xp.argmin((codebook * codebook).sum(axis=1) - 2 * (patches @ codebook.T), axis=-1)
