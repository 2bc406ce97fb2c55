"""One entry to all data: an embedded or generated set by its name, or files whose format is told by what is found."""

import inspect
from pathlib import Path

from mini_repr.data.dataset import DataError
from mini_repr.data.embedded import digits, gloss_documents, gloss_pairs, gloss_sentences
from mini_repr.data.generated.bars import bar_images
from mini_repr.data.generated.captions import captioned_scenes
from mini_repr.data.generated.clicks import click_table
from mini_repr.data.generated.coloured import coloured_images
from mini_repr.data.generated.moving import moving_clips
from mini_repr.data.generated.permuted import permuted_images
from mini_repr.data.generated.scenes import scene_images
from mini_repr.data.generated.topics import topic_texts
from mini_repr.data.generated.wandering import wandering_images
from mini_repr.data.readers.cifar import CIFAR_PICKLES, is_cifar, read_cifar, refuse_pickles
from mini_repr.data.readers.folder import IMAGE_SUFFIXES, read_folder
from mini_repr.data.readers.idx import mnist_file, read_idx
from mini_repr.data.readers.npz import is_npy_folder, read_npy_folder, read_npz
from mini_repr.data.readers.table import read_table
from mini_repr.data.readers.text import read_pairs, read_texts

EMBEDDED = {"digits": digits, "glosses": gloss_pairs, "sentences": gloss_sentences, "documents": gloss_documents}
GENERATED = {
    "scenes": scene_images,
    "captions": captioned_scenes,
    "wandering": wandering_images,
    "moving": moving_clips,
    "coloured": coloured_images,
    "permuted": permuted_images,
    "bars": bar_images,
    "topics": topic_texts,
    "clicks": click_table,
}
_NAMED = EMBEDDED | GENERATED
# Options by which a file of columns is a table rather than pairs of texts.
_OF_TABLES = {"categories", "numbers"}
_TEXT = (".tsv", ".csv", ".jsonl", ".ndjson")
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")
_READABLE = (
    ".npz, IDX (plain or .gz), a folder of MNIST, CIFAR (binary), image files or arrays (x_train.npy, x_test.npy), "
    ".tsv, .csv, .jsonl or .txt"
)


def load(name_or_path, **options):
    """The Dataset of an embedded or generated set's name, or of a path.

    Args:
        name_or_path: a name in ``EMBEDDED`` or ``GENERATED`` (a file or folder of that name is reached as
            ``./digits``), or a path.
        options: those of the reader or of the generated set: ``kind`` (glosses, topics), ``white`` (.npz), ``labels``
            (IDX file: the label file; CIFAR-100: fine or coarse), ``size`` (image folder), ``columns``, ``label`` and
            ``similarity`` (text), ``split`` (.npz, IDX, text); with ``categories`` or ``numbers`` a .csv or .tsv is
            a table.
    Raises:
        DataError: nothing there, a format that is not read, an option the reader does not have, bad contents.
    """
    reader, arguments = _reader_of(name_or_path, options)
    known = list(options_of(name_or_path, options))
    for option in options:
        if option not in known:
            wanted = ", ".join(known) or "none"
            typed = f" (--set data.{known[0]}=VALUE)" if known else ""
            raise DataError(f"{name_or_path}: option {option!r} of {reader.__name__}, expected {wanted}{typed}")
    return reader(*arguments, **options)


def options_of(name_or_path, given=()):
    """{option: default} of what reads or makes this set, where the options ``given`` are.

    Raises:
        DataError: as ``load``, for what is seen without reading the contents.
    """
    reader, arguments = _reader_of(name_or_path, given)
    parameters = list(inspect.signature(reader).parameters.values())[len(arguments) :]
    return {parameter.name: parameter.default for parameter in parameters}


def _reader_of(name_or_path, given):
    """What reads or makes the set, and what it is given first."""
    if not isinstance(name_or_path, str | Path) or not str(name_or_path):
        raise DataError(f"data: got {name_or_path!r}, expected a path or one of {', '.join(_NAMED)}")
    if name_or_path in _NAMED:
        return _NAMED[name_or_path], ()
    return _reader(Path(name_or_path), given), (Path(name_or_path),)


def _reader(path, given):
    if path.is_dir():
        return _folder_reader(path)
    if not path.is_file():
        raise DataError(f"{path}: not there, expected a file, a folder, or one of {', '.join(_NAMED)}")
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if not path.stat().st_size:
        raise DataError(f"{path}: empty, expected {_READABLE}")
    if suffixes[-1:] in ([".npz"], [".npy"]):
        return read_npz
    if any(suffix in _TEXT for suffix in suffixes):
        return read_table if _OF_TABLES & set(given) else read_pairs
    if any(suffix == ".txt" for suffix in suffixes):
        return read_texts
    if any(suffix in _PICKLES for suffix in suffixes):
        raise DataError(f"{path}: a pickle by its name, expected {_READABLE}; pickle is never loaded")
    if path.name in CIFAR_PICKLES:
        refuse_pickles(path.parent)
    if "idx" in path.name or suffixes[-1:] == [".gz"] or _starts_as_idx(path):
        return read_idx
    if suffixes[-1:] == [".bin"] and is_cifar(path.parent):
        raise DataError(f"{path}: one file of CIFAR, expected its folder: --data {path.parent}")
    raise DataError(f"{path}: of no known format, expected {_READABLE}")


def _folder_reader(path):
    if any(mnist_file(path, part, kind, False) for part in ("train", "t10k") for kind in ("images", "labels")):
        return read_idx
    if is_cifar(path):
        return read_cifar
    if is_npy_folder(path):
        return read_npy_folder
    refuse_pickles(path)
    if any(child.is_dir() for child in path.iterdir()):
        return read_folder
    if any(child.suffix.lower() in IMAGE_SUFFIXES for child in path.iterdir()):
        raise DataError(
            f"{path}: images outside of class folders, expected {path}/CLASS/IMAGE; one class for all will do"
        )
    raise DataError(f"{path}: a folder of no known kind, expected {_READABLE}")


def _starts_as_idx(path):
    with path.open("rb") as file:
        return file.read(3) == b"\0\0\x08"
