"""What the readers share: opening, bounded reading, and turning what a file holds into labels and pixels."""

import gzip
import zlib
from contextlib import contextmanager

import numpy as np

from mini_repr.data.dataset import DataError

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20
# Class indexes above this are taken for something else (identifiers, prices): every class gets a name in memory.
_MOST_CLASSES = 1 << 16


@contextmanager
def open_bytes(path):
    """The file's bytes as a stream, unpacked where it is gzip (told by its first bytes, not by its name).

    Raises:
        DataError: it cannot be opened, or turns out to be damaged or cut off while it is read.
    """
    try:
        with open(path, "rb") as raw:
            packed = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            if not packed:
                yield raw
                return
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield unpacked
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged gzip file ({error}), expected a whole one") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}), expected a readable file") from error


def read_exactly(stream, count, path):
    """The next ``count`` bytes, asked for in pieces: a header that promises too much costs no memory.

    Raises:
        DataError: the stream ends earlier.
    """
    pieces, left = [], count
    while left:
        piece = stream.read(min(left, _CHUNK))
        if not piece:
            raise DataError(f"{path}: ends after {count - left} of {count} bytes, expected a whole file")
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def unit_pixels(images, name, white=None):
    """Pixel values as float32 in [0, 1], without a copy where they are that.

    Args:
        images: array of any shape, integers or floats.
        white: the value that becomes 1. By default 255 for 8-bit and 65535 for 16-bit unsigned integers, 1 for floats.
    Raises:
        DataError: another dtype, or values outside 0 to ``white`` (NaN included).
    """
    if images.dtype.kind not in "uif":
        raise DataError(f"{name}: images are {images.dtype}, expected integers or floats")
    if white is None:
        defaults = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
        white = 1 if images.dtype.kind == "f" else defaults.get(images.dtype)
        if white is None:
            raise DataError(
                f"{name}: images are {images.dtype}, expected uint8, uint16 or floats, or the option white "
                "(--set data.white=255)"
            )
    if not white > 0:
        raise DataError(f"{name}: option white is {white}, expected a number above 0, such as --set data.white=255")
    if images.size and not (images.min() >= 0 and images.max() <= white):
        span = f"{images.min():g} to {images.max():g}"
        raise DataError(
            f"{name}: pixel values from {span}, expected 0 to {white:g} (option white) and no NaN; "
            "--set data.white=VALUE says which value is 1"
        )
    if images.dtype == np.float32 and white == 1:
        return np.asarray(images)  # a file mapped into memory stays on the disk
    pixels = images.astype(np.float32)
    pixels /= white
    return pixels


def class_indexes(labels, name):
    """Labels as int64 class indexes (N,), kept as they are.

    Raises:
        DataError: not a vector of integers from 0 to 65535.
    """
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:  # Keras saves CIFAR's labels as a column
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "ui":
        raise DataError(f"{name}: labels are {labels.dtype} of shape {labels.shape}, expected integers of shape (N,)")
    if labels.size and (labels.min() < 0 or labels.max() >= _MOST_CLASSES):
        raise DataError(f"{name}: labels from {labels.min()} to {labels.max()}, expected 0 to {_MOST_CLASSES - 1}")
    return labels.astype(np.int64)


def check_count(labels, count, name):
    """Raise DataError unless there are ``count`` labels: before class names are made from wrong ones."""
    if labels is not None and len(labels) != count:
        raise DataError(f"{name}: {len(labels)} labels for {count} rows, expected as many")


def number_names(*label_parts):
    """The names "0", "1", ... up to the largest class index of all parts; parts may be None."""
    largest = max((int(labels.max()) for labels in label_parts if labels is not None and labels.size), default=-1)
    return tuple(str(label) for label in range(largest + 1))
