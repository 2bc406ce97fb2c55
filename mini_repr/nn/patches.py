"""Images to rows of patches and back; on arrays and tensors alike."""


def patchify(images, patch):
    """(B, C, H, W) to (B, P, patch * patch * C): patches row by row, in each the pixels row by row, channels last.

    Raises:
        ValueError: ``patch`` does not divide H and W.
    """
    batch, channels, height, width = images.shape
    if patch < 1 or height % patch or width % patch:
        raise ValueError(f"patchify: patch: got {patch}, expected a common divisor of {height} and {width}")
    grid = images.reshape(batch, channels, height // patch, patch, width // patch, patch)
    return grid.transpose(0, 2, 4, 3, 5, 1).reshape(batch, -1, patch * patch * channels)


def unpatchify(patches, patch, image_shape):
    """The inverse of ``patchify``: (B, P, patch * patch * C) to (B, C, H, W), ``image_shape`` = (C, H, W)."""
    channels, height, width = image_shape
    expected = (height // patch * (width // patch), patch * patch * channels)
    if height % patch or width % patch or patches.shape[1:] != expected:
        raise ValueError(f"unpatchify: patches: got shape {patches.shape}, expected (B, {expected[0]}, {expected[1]})")
    grid = patches.reshape(len(patches), height // patch, width // patch, patch, patch, channels)
    return grid.transpose(0, 5, 1, 3, 2, 4).reshape(len(patches), channels, height, width)
