"""The start of a text transformer in short runs of masked language modelling."""

import numpy as np

from mini_repr.nn import TextTransformer

SIZE = 0.3


def word_start(seed, encoder):
    """Weights to begin from, for ``trained``: words and positions of size 0.3.

    At the usual 0.02 what tells words apart is lost beside the first block's output for some hundreds of steps.

    Args:
        encoder: settings of a ``text_transformer``.
    """
    settings = {name: value for name, value in encoder.items() if name != "name"}
    made = TextTransformer(np.random.default_rng(seed), **settings)
    for table in (made.words.weight, made.positions):
        table.data *= SIZE / table.data.std()
    return {f"encoder.{name}": array for name, array in made.state_dict().items()}
