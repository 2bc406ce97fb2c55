"""A folder of image files, one sub-folder a class, with or without ``train/`` and ``test/`` above the classes.

Classes are numbered in the sorted order of their folders' names. Hidden files and files without an image suffix are
passed over. Images are grey where every file is, else colour; transparency is dropped. Needs Pillow (extra ``images``).
"""

from pathlib import Path

import numpy as np

from mini_repr.data.dataset import DataError, Dataset, ImageSet, split
from mini_repr.data.readers.files import unit_pixels

IMAGE_SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))
_GREY_MODES = ("1", "L")
# Pillow clips these to 8 bits when it converts them: white paper from a microscope, silently.
_DEEP_MODES = ("I", "F")


def read_folder(path, size=None):
    """The Dataset in a folder of images.

    Args:
        path: holds class folders, or ``train/`` and ``test/`` which hold them; without these, every fifth image is
            test, in the sorted order of class and file name.
        size: an int or a (height, width) to which every image is resized (bilinear, smoothed when it shrinks).
            By default every image must have the same size.
    Raises:
        DataError: no Pillow, no class or image, an unreadable or 16-bit image, mixed sizes, a class only in test.
    """
    folder = Path(path)
    size = _height_width(folder, size)
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        train, test = _files_by_class(folder / "train"), _files_by_class(folder / "test")
        label_names = tuple(train)
        unknown = sorted(set(test) - set(train))
        if unknown:
            raise DataError(f"{folder / 'test'}: class {unknown[0]!r}, expected only classes of train/")
        files = [[(label_names.index(name), file) for name in part for file in part[name]] for part in (train, test)]
        images = _read([file for part in files for _, file in part], size)
        labels = np.array([label for part in files for label, _ in part], dtype=np.int64)
        cut = len(files[0])
        return Dataset(
            str(folder),
            ImageSet(str(folder / "train"), images[:cut], labels[:cut], label_names),
            ImageSet(str(folder / "test"), images[cut:], labels[cut:], label_names),
        )
    classes = _files_by_class(folder)
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in classes.values()]).astype(np.int64)
    images = _read([file for files in classes.values() for file in files], size)
    return split(ImageSet(str(folder), images, labels, tuple(classes)))


def _height_width(folder, size):
    if size is None:
        return None
    if isinstance(size, str):  # as it is typed: 32,48
        size = [int(length) if length.strip().isdecimal() else length for length in size.split(",")]
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(length, int) and length > 0 for length in pair):
        raise DataError(
            f"{folder}: option size is {size!r}, expected a positive int or (height, width): --set data.size=32,48"
        )
    return pair


def _files_by_class(folder):
    """{class name: its image files}, both sorted."""
    classes = {}
    for child in sorted(folder.iterdir()):
        if not child.is_dir() or child.name.startswith("."):
            continue
        classes[child.name] = sorted(
            file for file in child.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
        )
        if not classes[child.name] and any(inner.is_dir() for inner in child.iterdir()):
            parts = f"{folder}/train and {folder}/test"
            raise DataError(
                f"{child}: folders and no image, expected the images of one class, or class folders in {parts}; "
                f"other names will do by a link, such as ln -s val {folder}/test"
            )
        if not classes[child.name]:
            raise DataError(f"{child}: no image, expected files such as .png or .jpg")
    if not classes:
        raise DataError(f"{folder}: no sub-folder, expected one per class with image files")
    return classes


def _read(files, size):
    """(N, C, H, W) float32: all files, at one size, with one number of channels."""
    pictures = [_picture(file, size) for file in files]
    height, width = pictures[0].shape[:2]
    for file, picture in zip(files, pictures, strict=True):
        if picture.shape[:2] != (height, width):
            raise DataError(
                f"{file}: {picture.shape[0]}x{picture.shape[1]} pixels, expected {height}x{width} as {files[0].name} "
                f"has, or the option size: --set data.size={height}"
            )
    channels = max(picture.shape[2] for picture in pictures)
    images = np.empty((len(files), channels, height, width), dtype=np.uint8)
    for image, picture in zip(images, pictures, strict=True):
        image[:] = picture.transpose(2, 0, 1)  # a grey picture among coloured ones fills all three channels
    return unit_pixels(images, files[0].parent)


def _picture(file, size):
    """(H, W, 1) or (H, W, 3) uint8."""
    image_module = _pillow()
    try:
        with image_module.open(file) as opened:
            mode = opened.mode
            deep = mode.split(";")[0] in _DEEP_MODES
            picture = None if deep else opened.convert("L" if mode in _GREY_MODES else "RGB")
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise DataError(f"{file}: not a readable image ({error}), expected a whole one") from error
    if picture is None:
        raise DataError(f"{file}: pixels of mode {mode}, expected 8 bits a channel")
    if size is not None:
        picture = picture.resize(size[::-1], image_module.Resampling.BILINEAR)
    pixels = np.asarray(picture)
    return pixels.reshape(*pixels.shape[:2], -1)


def _pillow():
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError("a folder of images: Pillow is not installed; pip install 'mini-repr[images]'") from error
    return Image
