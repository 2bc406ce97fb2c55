"""IDX files, the format of MNIST and its kin (Fashion-, K-, EMNIST); plain or gzip.

Big-endian: two zero bytes, a type code (only 0x08, unsigned byte, is used by these sets), the number of axes, one
32-bit length an axis, then the values. Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
"""

import math
import struct
from pathlib import Path

import numpy as np

from mini_repr.data.dataset import DataError, Dataset, ImageSet
from mini_repr.data.dataset import split as split_rows
from mini_repr.data.readers.files import (
    check_count,
    class_indexes,
    number_names,
    open_bytes,
    read_exactly,
    unit_pixels,
)

_UNSIGNED_BYTE = 0x08


def read_idx(path, labels=None, split="classes"):
    """The Dataset in an IDX image file, or in a folder with the four files of MNIST.

    Args:
        path: a folder with ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the same for ``t10k``
            (``.idx3`` and ``.gz`` forms of the names too); or one image file, whose every fifth image becomes test.
        labels: for one file, the path of its labels. By default the file beside it whose name has ``labels`` and
            ``idx1`` for ``images`` and ``idx3``; without one the images have no labels.
        split: of one file, see ``dataset.split``.
    Raises:
        DataError: missing, truncated or overlong files, wrong magic numbers, counts that differ.
    """
    path = Path(path)
    if path.is_dir():
        if labels is not None:
            raise DataError(f"{path}: option labels with a folder, expected it with one image file")
        found = [mnist_file(path, part, kind) for part in ("train", "t10k") for kind in ("images", "labels")]
        (train, train_labels), (test, test_labels) = _pair(*found[:2]), _pair(*found[2:])
        label_names = number_names(train_labels, test_labels)
        return Dataset(
            str(path),
            ImageSet(str(found[0]), train, train_labels, label_names),
            ImageSet(str(found[2]), test, test_labels, label_names),
        )
    images, labels = _pair(path, Path(labels) if labels is not None else _sibling(path))
    return split_rows(ImageSet(str(path), images, labels, number_names(labels)), split)


def mnist_file(folder, part, kind, required=True):
    """The file of MNIST's ``part`` (train, t10k) and ``kind`` (images, labels) in ``folder``, by its usual names."""
    axes = {"images": 3, "labels": 1}[kind]
    names = [f"{part}-{kind}{dot}idx{axes}-ubyte{packed}" for dot in "-." for packed in ("", ".gz")]
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None and required:
        raise DataError(f"{folder}: no {names[0]}, expected it (or its .gz) beside the other files of MNIST")
    return found


def _pair(path, labels_path):
    images = unit_pixels(_read(path, 3), path)[:, None]
    if labels_path is None:
        return images, None
    labels = class_indexes(_read(labels_path, 1), labels_path)
    check_count(labels, len(images), labels_path)
    return images, labels


def _sibling(path):
    name = path.name.replace("images", "labels").replace("idx3", "idx1")
    beside = path.with_name(name)
    return beside if name != path.name and beside.is_file() else None


def _read(path, axes):
    with open_bytes(path) as stream:
        magic = read_exactly(stream, 4, path)
        wanted = bytes([0, 0, _UNSIGNED_BYTE, axes])
        if magic != wanted:
            raise DataError(f"{path}: starts with {magic.hex()}, expected {wanted.hex()} (IDX, bytes, {axes} axes)")
        shape = struct.unpack(f">{axes}I", read_exactly(stream, 4 * axes, path))
        values = read_exactly(stream, math.prod(shape), path)
        if stream.read(1):
            raise DataError(f"{path}: goes on after the {len(values)} bytes of shape {shape}, expected its end")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)
