"""Data: the embedded and the generated sets, readers, augmentations (views) and batches.

>>> from mini_repr.data import load, parse_views, Batches, DEFAULT_VIEWS
>>> data = load("digits")
>>> data.train.images.shape
(1437, 1, 8, 8)
"""

from mini_repr.data.dataset import (
    CaptionedSet,
    DataError,
    Dataset,
    ImageSet,
    PairSet,
    RowSet,
    TableSet,
    TextSet,
    split,
)
from mini_repr.data.embedded import GLOSS_PAIRS, Gloss, digits, gloss_pairs, gloss_sentences, glosses
from mini_repr.data.loader import BalancedBatches, Batches, BoundBatches, TaskBatches
from mini_repr.data.loading import EMBEDDED, GENERATED, load, options_of
from mini_repr.data.views import COLOUR_VIEWS, DEFAULT_VIEWS, VIEWS, Compose, default_views, parse_views, resample
