"""The start of a text transformer in short runs of masked language modelling."""

import numpy as np

from mini_repr.nn import TextTransformer

SIZE = 0.3


def word_start(seed, encoder, positions=SIZE):
    """Weights to begin from, for ``trained``: words of size 0.3, positions of a size to choose.

    At the usual 0.02 what tells words apart is lost beside the first block's output for some hundreds of steps. With
    small positions a model finds sooner what all words of a sentence have in common.

    Args:
        encoder: settings of a ``text_transformer``; with rotary positions words alone are changed.
    """
    settings = {name: value for name, value in encoder.items() if name != "name"}
    made = TextTransformer(np.random.default_rng(seed), **settings)
    for table, size in ((made.words.weight, SIZE), (made.positions, positions)):
        if table is not None:
            table.data *= size / table.data.std()
    return {f"encoder.{name}": array for name, array in made.state_dict().items()}
