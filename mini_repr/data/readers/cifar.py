"""CIFAR-10 and CIFAR-100, binary version: fixed-length records of label bytes and 32x32 pixels, channel planes first.

CIFAR-10: one label byte, ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``. CIFAR-100: a coarse and a
fine label byte, ``train.bin`` and ``test.bin``. Source: Krizhevsky, 2009, https://www.cs.toronto.edu/~kriz/cifar.html.
The Python version is a set of pickles, which run code when loaded; it is recognised and refused.
"""

from pathlib import Path

import numpy as np

from mini_repr.data.dataset import DataError, Dataset, ImageSet
from mini_repr.data.readers.files import open_bytes, unit_pixels

_IMAGE = (3, 32, 32)
_TEN = ([f"data_batch_{i}.bin" for i in range(1, 6)], "test_batch.bin")
_HUNDRED = (["train.bin"], "test.bin")
_CLASSES = {"coarse": 20, "fine": 100}
CIFAR_PICKLES = ("data_batch_1", "test_batch", "batches.meta", "meta")


def is_cifar(folder):
    """Whether ``folder`` holds some file of the binary version."""
    return any((folder / name).is_file() for names, test in (_TEN, _HUNDRED) for name in (*names, test))


def refuse_pickles(folder):
    """Raise DataError where ``folder`` holds CIFAR's Python version."""
    for name in CIFAR_PICKLES:
        if (folder / name).is_file():
            raise DataError(
                f"{folder}: {name} is of CIFAR's Python version (pickle), expected the binary version (.bin); "
                "pickle is never loaded"
            )


def read_cifar(path, labels="fine"):
    """The Dataset in a folder of CIFAR-10 (six .bin files) or CIFAR-100 (two).

    Args:
        labels: for CIFAR-100, ``"fine"`` (100 classes) or ``"coarse"`` (20).
    Raises:
        DataError: a missing file, a length that is no whole number of records, a label out of range.
    """
    folder = Path(path)
    if labels not in _CLASSES:
        raise DataError(f"{folder}: option labels is {labels!r}, expected fine or coarse")
    hundred = any((folder / name).is_file() for name in (*_HUNDRED[0], _HUNDRED[1]))
    train_names, test_name = _HUNDRED if hundred else _TEN
    classes = _CLASSES[labels] if hundred else 10
    # In CIFAR-100 the coarse label byte stands before the fine one.
    label_bytes, column = (2, ("coarse", "fine").index(labels)) if hundred else (1, 0)
    label_names = _names(folder / (f"{labels}_label_names.txt" if hundred else "batches.meta.txt"), classes)
    train, test = (
        [_records(folder / name, label_bytes, column, classes) for name in names]
        for names in (train_names, [test_name])
    )
    return Dataset(str(folder), _part(folder, train, label_names), _part(folder / test_name, test, label_names))


def _part(name, batches, label_names):
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return ImageSet(str(name), unit_pixels(images, name), labels, label_names)


def _records(path, label_bytes, column, classes):
    length = label_bytes + int(np.prod(_IMAGE))
    with open_bytes(path) as stream:
        values = stream.read()
    if not values or len(values) % length:
        raise DataError(f"{path}: {len(values)} bytes, expected a whole number of records of {length} bytes")
    records = np.frombuffer(values, dtype=np.uint8).reshape(-1, length)
    labels = records[:, column].astype(np.int64)
    if labels.max() >= classes:
        raise DataError(f"{path}: label {labels.max()} in record {labels.argmax()}, expected 0 to {classes - 1}")
    return records[:, label_bytes:].reshape(-1, *_IMAGE), labels


def _names(path, classes):
    """The class names that come with the binary version; plain numbers where that file is missing."""
    if not path.is_file():
        return tuple(str(label) for label in range(classes))
    names = tuple(path.read_text(encoding="utf-8", errors="replace").split())
    if len(names) != classes:
        raise DataError(f"{path}: {len(names)} class names, expected {classes}")
    return names
