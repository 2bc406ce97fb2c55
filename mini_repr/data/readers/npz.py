"""NumPy archives (.npz): images, clips, or plain rows, with or without labels.

Keys, by the first that is there: values ``images``, ``clips``, ``x``, ``X``, ``data``, ``features``, ``embeddings``;
labels ``labels``, ``y``, ``Y``, ``targets`` (may be missing). With ``x_train`` and ``x_test`` (labels ``y_train``,
``y_test``) both parts are read, else every fifth row is test, in the order of the labels where there are any.

Values may be (N, H, W); (N, C, H, W); (N, H, W, C); clips (N, T, C, H, W) or (N, T, H, W, C) of T frames; or (N, D),
which gives a RowSet. Where both axes could be the channels, 1 or 3 long, the last one is taken for them.

A folder of ``x_train.npy``, ``x_test.npy`` and, with labels, ``y_train.npy`` and ``y_test.npy`` is read likewise, and
values that need no change stay on the disk: float32, channels first, pixels in [0, 1] or rows. So a set may be larger
than memory, as far as only batches of it are asked for.
"""

import zipfile
from pathlib import Path

import numpy as np

from mini_repr.data.dataset import DataError, Dataset, ImageSet, RowSet
from mini_repr.data.dataset import split as split_rows
from mini_repr.data.readers.files import check_count, class_indexes, number_names, unit_pixels

_VALUES = ("images", "clips", "x", "X", "data", "features", "embeddings")
_LABELS = ("labels", "y", "Y", "targets")
_PARTS = ("x_train", "x_test", "y_train", "y_test")


def read_npz(path, white=None, split="classes"):
    """The Dataset in a .npz file.

    Args:
        white: the pixel value that becomes 1; see ``files.unit_pixels`` for the default. Rows (N, D) are not scaled.
        split: of a file without a test part, see ``dataset.split``.
    Raises:
        DataError: damaged, an object array (it would need pickle, which is never loaded), keys, shapes or values that
            do not fit.
    """
    return _dataset(path, read_arrays(path), white, split)


def is_npy_folder(path):
    """Whether a folder holds one of the arrays that ``read_npy_folder`` takes."""
    return any((path / f"{key}.npy").is_file() for key in _PARTS)


def read_npy_folder(path, white=None):
    """The Dataset of a folder of arrays; those that need no change are read from the disk when they are asked for.

    Args:
        white: as for ``read_npz``.
    Raises:
        DataError: as ``read_npz``.
    """
    arrays = {}
    for file in (path / f"{key}.npy" for key in _PARTS):
        if not file.is_file():
            continue
        try:
            arrays[file.stem] = np.load(file, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # NumPy's header parser fails in several ways
            reason = " ".join(str(error).split())
            raise DataError(
                f"{file}: not a readable .npy ({reason}), expected an array of numbers; pickle is never loaded"
            ) from error
    _require(path, arrays, "x_train", "x_test")
    return _dataset(path, arrays, white, split=None)


def _dataset(path, arrays, white, split):
    if "x_train" in arrays or "x_test" in arrays:
        _require(path, arrays, "x_train", "x_test")
        if ("y_train" in arrays) != ("y_test" in arrays):
            raise DataError(f"{path}: keys {_listed(arrays)}, expected both y_train and y_test or neither")
        values = [arrays["x_train"], arrays["x_test"]]
        labels = [arrays.get("y_train"), arrays.get("y_test")]
    else:
        value_key = next((key for key in _VALUES if key in arrays), None)
        if value_key is None:
            wanted = f"one of {', '.join(_VALUES)}, or x_train and x_test"
            raise DataError(f"{path}: keys {_listed(arrays)}, expected {wanted}")
        values = [arrays[value_key]]
        labels = [next((arrays[key] for key in _LABELS if key in arrays), None)]
    labels = [None if part is None else class_indexes(part, path) for part in labels]
    for part, part_labels in zip(values, labels, strict=True):
        check_count(part_labels, part.shape[0] if part.ndim else 0, path)
    label_names = number_names(*labels)
    parts = [_part(path, part, own, label_names, white) for part, own in zip(values, labels, strict=True)]
    return split_rows(parts[0], split) if len(parts) == 1 else Dataset(str(path), *parts)


def read_arrays(path):
    """{key: array} of a .npz file.

    Raises:
        DataError: no such file, no archive, a damaged one, or an object array.
    """
    try:
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):  # np.load would take it for a pickle, and advise to allow that
                file.seek(0)
                if file.read(6) == b"\x93NUMPY":
                    made = f"np.savez('{Path(path).stem}.npz', NAME=np.load('{Path(path).name}'))"
                    raise zipfile.BadZipFile(f"no zip archive but one array; import numpy as np; {made} makes one")
                raise zipfile.BadZipFile("no zip archive, or its end is missing")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
    except FileNotFoundError:
        raise DataError(f"{path}: no such file, expected a .npz") from None
    except Exception as error:  # zipfile, zlib and NumPy's header parser fail in a dozen ways on a damaged archive
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: not a readable .npz ({reason}), expected NumPy arrays of numbers; pickle is never loaded"
        ) from error
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise DataError(f"{path}: member {key!r} is no array, expected only .npy members")
    return arrays


def _part(path, values, labels, label_names, white):
    if values.ndim == 2:
        if values.dtype.kind not in "uif":
            raise DataError(f"{path}: rows are {values.dtype}, expected integers or floats")
        rows = np.asarray(values, None if values.dtype in (np.float32, np.float64) else np.float32)
        return RowSet(str(path), rows, labels, label_names)
    return ImageSet(str(path), unit_pixels(_channels_first(path, values), path, white), labels, label_names)


def _channels_first(path, images):
    if images.ndim == 3:
        return images[:, None]
    if images.ndim in (4, 5) and images.shape[-1] in (1, 3):
        return np.ascontiguousarray(np.moveaxis(images, -1, -3))
    if images.ndim in (4, 5) and images.shape[-3] in (1, 3):
        return images
    wanted = "(N, H, W), (N, C, H, W) or (N, H, W, C), clips (N, T, C, H, W), all with C = 1 or 3, or rows (N, D)"
    raise DataError(f"{path}: values of shape {images.shape}, expected {wanted}")


def _require(path, arrays, *keys):
    for key in keys:
        if key not in arrays:
            raise DataError(f"{path}: keys {_listed(arrays)}, expected {' and '.join(keys)}")


def _listed(arrays):
    return ", ".join(sorted(arrays)) or "none"
