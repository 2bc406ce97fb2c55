"""An encoder that is trained by ``fit``: ``RepresentationLearner("infonce").fit(images).transform(images)``."""

import numpy as np

from mini_repr.backend import get_backend
from mini_repr.data import Dataset, ImageSet, TextSet
from mini_repr.posthoc.manners import Transformer
from mini_repr.training.config import merge
from mini_repr.training.loaded import TrainedRun, images_of
from mini_repr.training.run import Run
from mini_repr.training.session import prepare

NAME = "samples"  # what errors call the data that ``fit`` is given


class RepresentationLearner(Transformer):
    """Learn an encoder from images or texts, with the manners of scikit-learn: it stands in pipelines and searches.

    What ``mini-repr train`` does, without a folder and a table; settings that are None are as there. After ``fit``:
    ``run_``, a ``TrainedRun``.

    >>> RepresentationLearner("vicreg", epochs=5, settings={"encoder": {"width": 32}})
    RepresentationLearner(loss='vicreg', epochs=5, settings={'encoder': {'width': 32}})

    Args:
        loss: a name of ``mini-repr list --losses``, or of the field. encoder: of ``mini-repr list --encoders``.
        epochs, batch_size, lr, seed, device: as the options of ``mini-repr train``.
        settings: any others, sections of values as in a TOML file for ``--config``; they win.
    """

    def __init__(
        self,
        loss="infonce",
        *,
        encoder=None,
        epochs=None,
        batch_size=None,
        lr=None,
        seed=0,
        device="cpu",
        settings=None,
    ):
        self.loss, self.encoder, self.epochs, self.batch_size = loss, encoder, epochs, batch_size
        self.lr, self.seed, self.device, self.settings = lr, seed, device, settings

    def fit(self, samples, y=None):
        """Train from new weights; returns the object.

        Args:
            samples: images (N, C, H, W) or clips (N, T, C, H, W) in [0, 1], or a list of N texts.
            y: (N,) classes, whole numbers or texts, for a loss that takes labels; others do not see them. Numbers with
                a point are no classes, and left out.
        Raises:
            ValueError: samples or a setting that ``mini-repr train`` would refuse. Diverged: as there.
        """
        data = _dataset(samples, y)
        chosen = {
            "loss": {"name": self.loss},
            "encoder": {"name": self.encoder},
            "optimizer": {"lr": self.lr},
            "train": {"epochs": self.epochs, "batch_size": self.batch_size, "seed": self.seed},
        }
        chosen = {part: {n: v for n, v in values.items() if v is not None} for part, values in chosen.items()}
        settings, _ = prepare(merge({**chosen, "device": self.device}, self.settings or {}), data)
        run = Run(settings, data, get_backend(settings["device"]))
        while not run.finished:
            run.train_epoch()
        run.method.eval()
        self.run_ = TrainedRun(run, data, scores=None)
        return self

    def transform(self, samples):
        """Rows (M, D) float32 of samples like the fitted ones.

        Raises:
            ValueError: nothing fitted yet, or samples of another kind or shape.
        """
        if not self._fitted():
            raise ValueError(f"{type(self).__name__}: got samples before fit, expected fit first")
        return self.run_.transform(samples)


def _dataset(samples, y):
    """The samples as both parts of a data set: nothing is evaluated, so the second is not looked at."""
    texts = isinstance(samples, list | tuple) and len(samples) > 0 and isinstance(samples[0], str)
    labels, names = None, ()
    if y is not None and np.asarray(y).dtype.kind != "f":
        classes, labels = np.unique(np.asarray(y), return_inverse=True)
        labels, names = labels.astype(np.int64), tuple(map(str, classes))
    if texts:
        part = TextSet(NAME, list(samples), labels, names)
    else:
        part = ImageSet(NAME, images_of("fit", samples), labels, names)
    return Dataset(NAME, part, part)
