"""What every reader returns: two parts, ``train`` and ``test``, each a checked set of images, rows or texts.

A part's ``name`` says where it came from (an embedded name or a path); every complaint about it starts with it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# Of a set that comes without a test part every fifth row is one: fixed, seedless, reproducible.
TEST_EVERY = 5
SPLITS = ("classes", "rows")


class DataError(ValueError):
    """A data set that cannot be used as it is. One line: the file, the found and the expected values."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images and, where there are any, their classes.

    Args:
        name: where the images came from.
        images: (N, C, H, W), or clips (N, T, C, H, W) of T frames, float32 in [0, 1], C = 1 (grey) or 3 (red, green,
            blue), N >= 1.
        labels: (N,) int64 class indexes into ``label_names``, or None.
        label_names: tuple of str, one per class; empty without labels.
    Raises:
        DataError: another shape, dtype or range (NaN included), or labels that do not fit.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray | None = None
    label_names: tuple[str, ...] = ()

    def __post_init__(self):
        shape, dtype = self.images.shape, self.images.dtype
        if len(shape) not in (4, 5) or shape[-3] not in (1, 3) or dtype != np.float32:
            raise DataError(
                f"{self.name}: images of shape {shape} {dtype}, expected (N, 1 or 3, H, W), or clips "
                "(N, T, 1 or 3, H, W), float32"
            )
        if 0 in shape:
            raise DataError(f"{self.name}: no image (shape {shape}), expected at least one pixel of one image")
        low, high = self.images.min(), self.images.max()
        if not (low >= 0 and high <= 1):  # NaN fails both comparisons
            raise DataError(f"{self.name}: pixel values from {low:g} to {high:g}, expected 0 to 1 (and no NaN)")
        check_labels(self.name, self.labels, self.label_names, len(self))

    def __len__(self):
        return len(self.images)

    def take(self, index):
        """The set of the rows ``index`` (integer or boolean array), in that order."""
        labels = None if self.labels is None else self.labels[index]
        return ImageSet(self.name, self.images[index], labels, self.label_names)


@dataclass(frozen=True, eq=False)
class RowSet:
    """Plain rows, such as features or embeddings: ``rows`` (N, D) finite float32 or float64; the rest as ImageSet."""

    name: str
    rows: np.ndarray
    labels: np.ndarray | None = None
    label_names: tuple[str, ...] = ()

    def __post_init__(self):
        shape, dtype = self.rows.shape, self.rows.dtype
        if len(shape) != 2 or dtype not in (np.float32, np.float64):
            raise DataError(f"{self.name}: rows of shape {shape} {dtype}, expected (N, D) float32 or float64")
        if 0 in shape:
            raise DataError(f"{self.name}: no row (shape {shape}), expected at least one value of one row")
        if not np.isfinite([self.rows.min(), self.rows.max()]).all():
            raise DataError(f"{self.name}: rows hold NaN or infinity, expected finite numbers")
        check_labels(self.name, self.labels, self.label_names, len(self))

    def __len__(self):
        return len(self.rows)

    def take(self, index):
        """The set of the rows ``index`` (integer or boolean array), in that order."""
        labels = None if self.labels is None else self.labels[index]
        return RowSet(self.name, self.rows[index], labels, self.label_names)


@dataclass(frozen=True, eq=False)
class PairSet:
    """Aligned texts: ``a[i]`` belongs with ``b[i]``. Both lists of non-empty str; the rest as ImageSet.

    ``negatives``: hard ones, None or a list of a text for each pair, near ``a[i]`` but not its partner.
    ``similarity``: None or (N,) float32, how alike the two texts are, on any scale; NaN for a pair without a grade,
    whose texts belong together.
    """

    name: str
    a: list[str]
    b: list[str]
    labels: np.ndarray | None = None
    label_names: tuple[str, ...] = ()
    negatives: list[str] | None = None
    similarity: np.ndarray | None = None

    def __post_init__(self):
        if len(self.a) != len(self.b) or not self.a:
            raise DataError(f"{self.name}: {len(self.a)} texts a and {len(self.b)} texts b, expected as many, not none")
        if self.negatives is not None and len(self.negatives) != len(self.a):
            raise DataError(
                f"{self.name}: {len(self.negatives)} negatives, expected one for each of {len(self.a)} pairs"
            )
        _check_similarity(self.name, self.similarity, len(self.a))
        check_labels(self.name, self.labels, self.label_names, len(self))

    def __len__(self):
        return len(self.a)

    def take(self, index):
        """The set of the rows ``index`` (integer or boolean array), in that order."""
        rows = np.arange(len(self))[index]
        labels = None if self.labels is None else self.labels[rows]
        a, b, negatives = (texts and [texts[i] for i in rows] for texts in (self.a, self.b, self.negatives))
        similarity = None if self.similarity is None else self.similarity[rows]
        return PairSet(self.name, a, b, labels, self.label_names, negatives, similarity)


@dataclass(frozen=True, eq=False)
class CaptionedSet:
    """Images and a text for each: ``images`` as ImageSet, ``texts`` a list of as many non-empty str; no classes.

    ``pixels``: None or (N, H, W) int64, what each pixel shows: an index into ``things``, -1 for nothing. ``things``: a
    caption of each such thing alone.
    """

    name: str
    images: np.ndarray
    texts: list[str]
    pixels: np.ndarray | None = None
    things: tuple[str, ...] = ()

    labels, label_names = None, ()

    def __post_init__(self):
        ImageSet(self.name, self.images)
        if len(self.texts) != len(self.images):
            raise DataError(f"{self.name}: {len(self.texts)} texts, expected one for each of {len(self.images)} images")
        if self.pixels is None:
            return
        shape, dtype = self.pixels.shape, self.pixels.dtype
        expected = (len(self), *self.images.shape[-2:])
        if shape != expected or dtype != np.int64 or self.pixels.min() < -1 or self.pixels.max() >= len(self.things):
            raise DataError(
                f"{self.name}: pixels of shape {shape} {dtype}, expected {expected} int64 from -1 to "
                f"{len(self.things) - 1}"
            )

    def __len__(self):
        return len(self.texts)

    def take(self, index):
        """The set of the rows ``index`` (integer or boolean array), in that order."""
        rows = np.arange(len(self))[index]
        pixels = None if self.pixels is None else self.pixels[rows]
        return CaptionedSet(self.name, self.images[rows], [self.texts[i] for i in rows], pixels, self.things)


@dataclass(frozen=True, eq=False)
class TextSet:
    """Texts one by one: ``texts``, a list of non-empty str; the rest as ImageSet."""

    name: str
    texts: list[str]
    labels: np.ndarray | None = None
    label_names: tuple[str, ...] = ()

    def __post_init__(self):
        if not self.texts:
            raise DataError(f"{self.name}: no texts, expected one or more")
        check_labels(self.name, self.labels, self.label_names, len(self))

    def __len__(self):
        return len(self.texts)

    def take(self, index):
        """The set of the rows ``index`` (integer or boolean array), in that order."""
        rows = np.arange(len(self))[index]
        labels = None if self.labels is None else self.labels[rows]
        return TextSet(self.name, [self.texts[i] for i in rows], labels, self.label_names)


class Field(NamedTuple):
    """A column of a table: its name and, of a categorical one, its values; None of numbers.

    The first value is "(other)": what stands for values that the training part does not have, or has too seldom.
    """

    name: str
    values: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class TableSet:
    """Rows of a table with a yes or a no: ``rows`` (N, F) finite float32, a column for each of ``fields``.

    Categorical fields come first; their columns hold the numbers of their values. ``labels`` (N,): 0 or 1, the index
    into the two ``label_names``.
    """

    name: str
    rows: np.ndarray
    fields: tuple[Field, ...]
    labels: np.ndarray
    label_names: tuple[str, ...]

    def __post_init__(self):
        shape, dtype = self.rows.shape, self.rows.dtype
        if len(shape) != 2 or shape[1] != len(self.fields) or dtype != np.float32 or 0 in shape:
            raise DataError(
                f"{self.name}: rows of shape {shape} {dtype}, expected (N, {len(self.fields)}) float32 for its fields"
            )
        if not np.isfinite(self.rows).all():
            raise DataError(f"{self.name}: rows hold NaN or infinity, expected finite numbers")
        if [field.values is None for field in self.fields] != sorted(field.values is None for field in self.fields):
            raise DataError(f"{self.name}: a categorical field after one of numbers, expected it before")
        for column, field in zip(self.rows.T, self.fields, strict=True):
            wrong = field.values is not None and (column.min() < 0 or column.max() >= len(field.values))
            if wrong or (field.values is not None and (column != np.rint(column)).any()):
                raise DataError(f"{self.name}: {field.name}: expected whole numbers below {len(field.values)}")
        if sum(self.sizes) >= 2**24:
            raise DataError(
                f"{self.name}: {sum(self.sizes)} values of categories, expected fewer than {2**24}; see least"
            )
        if len(self.label_names) != 2:
            raise DataError(f"{self.name}: {len(self.label_names)} classes, expected two: no and yes")
        check_labels(self.name, self.labels, self.label_names, len(self))

    def __len__(self):
        return len(self.rows)

    def take(self, index):
        """The set of the rows ``index`` (integer or boolean array), in that order."""
        return TableSet(self.name, self.rows[index], self.fields, self.labels[index], self.label_names)

    @property
    def sizes(self):
        """How many values each categorical field has, a tuple."""
        return tuple(len(field.values) for field in self.fields if field.values is not None)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Two parts of one kind (images, with or without texts, rows, pairs of texts, texts or a table).

    They share one list of class names.
    """

    name: str
    train: ImageSet | RowSet | PairSet | TextSet | CaptionedSet | TableSet
    test: ImageSet | RowSet | PairSet | TextSet | CaptionedSet | TableSet

    def __post_init__(self):
        if type(self.train) is not type(self.test):
            kinds = f"{type(self.train).__name__} and {type(self.test).__name__}"
            raise DataError(f"{self.name}: train and test are {kinds}, expected one kind")
        if self.train.label_names != self.test.label_names:
            raise DataError(f"{self.name}: train and test differ in their class names, expected the same list")
        if (
            isinstance(self.train, ImageSet | CaptionedSet)
            and self.train.images.shape[1:] != self.test.images.shape[1:]
        ):
            shapes = f"{self.train.images.shape[1:]} and {self.test.images.shape[1:]}"
            raise DataError(f"{self.name}: train and test images have shapes {shapes}, expected the same")
        if isinstance(self.train, TableSet) and self.train.fields != self.test.fields:
            raise DataError(f"{self.name}: train and test differ in their fields, expected the same")
        if isinstance(self.train, RowSet) and self.train.rows.shape[1] != self.test.rows.shape[1]:
            widths = f"{self.train.rows.shape[1]} and {self.test.rows.shape[1]}"
            raise DataError(f"{self.name}: train and test rows have widths {widths}, expected the same")


def split(whole, by="rows"):
    """The Dataset whose test part is every fifth row of ``whole`` (rows 0, 5, 10, ...) and whose train part the rest.

    Args:
        by: "rows" counts rows as they stand; "classes" in the order of their classes, so that no class is all test (a
            class of one row is train). Without labels, or with one row in each class, both are the same.
    Raises:
        DataError: another ``by``, or fewer than two rows, so that one part would be empty.
    """
    if by not in SPLITS:
        raise DataError(f"{whole.name}: option split is {by!r}, expected {' or '.join(SPLITS)}: --set data.split=rows")
    if len(whole) < 2:
        raise DataError(f"{whole.name}: one row and no test part, expected at least two rows to split")
    order = np.arange(len(whole))
    if by == "classes" and whole.labels is not None:
        sizes = np.bincount(whole.labels)[whole.labels]
        if sizes.max() > 1:
            order = np.argsort(whole.labels, kind="stable")
            order = order[sizes[order] > 1]
    is_test = np.zeros(len(whole), dtype=bool)
    is_test[order[::TEST_EVERY]] = True
    return Dataset(whole.name, whole.take(~is_test), whole.take(is_test))


def _check_similarity(name, similarity, count):
    if similarity is None:
        return
    if similarity.shape != (count,) or similarity.dtype != np.float32:
        came = f"shape {similarity.shape} {similarity.dtype}"
        raise DataError(f"{name}: similarity of {came} for {count} pairs, expected ({count},) float32")
    if np.isinf(similarity).any():
        raise DataError(f"{name}: similarity holds infinity, expected finite numbers (NaN: no grade)")


def check_labels(name, labels, label_names, count):
    """Raise DataError unless ``labels`` is None (and names none) or (count,) int64 indexes into ``label_names``."""
    if labels is None:
        if label_names:
            raise DataError(f"{name}: {len(label_names)} class names without labels, expected both or neither")
        return
    if labels.shape != (count,):
        raise DataError(f"{name}: labels of shape {labels.shape} for {count} rows, expected ({count},)")
    if labels.dtype != np.int64:
        raise DataError(f"{name}: labels are {labels.dtype}, expected int64")
    if labels.min() < 0 or labels.max() >= len(label_names):
        span = f"{labels.min()} to {labels.max()}"
        raise DataError(f"{name}: labels from {span}, expected 0 to {len(label_names) - 1}")
