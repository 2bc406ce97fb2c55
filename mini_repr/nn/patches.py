"""Images and clips to rows of patches and back; on arrays and tensors alike."""

import math

import numpy as np


def patchify(images, patch, tube=1):
    """(B, C, H, W) to (B, P, patch * patch * C): patches row by row, in each the pixels row by row, channels last.

    Clips (B, T, C, H, W) to (B, T/tube * P, tube * patch * patch * C): the patches of ``tube`` frames together, the
    first frame's pixels first; then those of the next frames.

    Raises:
        ValueError: ``patch`` does not divide H and W, or ``tube`` not T.
    """
    batch, *frames, channels, height, width = images.shape
    if patch < 1 or height % patch or width % patch:
        raise ValueError(f"patchify: patch: got {patch}, expected a common divisor of {height} and {width}")
    frames = math.prod(frames)  # 1 of an image
    if tube < 1 or frames % tube:
        raise ValueError(f"patchify: tube: got {tube}, expected a divisor of {frames} frames")
    grid = images.reshape(batch, frames // tube, tube, channels, height // patch, patch, width // patch, patch)
    return grid.transpose(0, 1, 4, 6, 2, 5, 7, 3).reshape(batch, -1, tube * patch * patch * channels)


def unpatchify(patches, patch, image_shape):
    """The inverse of ``patchify`` with ``tube`` 1: to (B, C, H, W), or to (B, T, C, H, W), of ``image_shape`` the rest.

    Raises:
        ValueError: patches of another shape than such images have.
    """
    *frames, channels, height, width = image_shape
    frames = math.prod(frames)
    expected = (frames * (height // patch) * (width // patch), patch * patch * channels)
    if height % patch or width % patch or patches.shape[1:] != expected:
        raise ValueError(f"unpatchify: patches: got shape {patches.shape}, expected (B, {expected[0]}, {expected[1]})")
    grid = patches.reshape(len(patches), frames, height // patch, width // patch, patch, patch, channels)
    return grid.transpose(0, 1, 6, 2, 4, 3, 5).reshape(len(patches), *image_shape)


def frames_of_tubes(clips, tube):
    """(B, T/tube, C, H, W): the one frame for each token in time that is rebuilt of clips; images as they are.

    Evenly spaced from the first frame to the last, as in the official code of Feichtenhofer et al. 2022, arXiv
    2205.09113 (facebookresearch/mae_st, models_mae.py), which rounds down: of 8 frames and tubes of 2 the frames 0, 2,
    4 and 7. It calls their number pred_t_dim.
    """
    if clips.ndim == 4 or tube == 1:
        return clips
    last = clips.shape[1] - 1
    return clips[:, np.linspace(0, last, clips.shape[1] // tube).astype(int)]
