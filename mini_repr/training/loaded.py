"""A trained run in a program of one's own: ``mini_repr.load_run("runs/infonce-digits-001").embed(images)``."""

import numpy as np

from mini_repr.methods import encode, encoded_kind, kind_of
from mini_repr.posthoc.manners import Transformer
from mini_repr.training import session
from mini_repr.training.evaluation import encoders_of, opened


class TrainedRun(Transformer):
    """What a run has learnt; a transformer for scikit-learn that is fitted already.

    Attributes:
        settings: nested dict, as its config.json holds them. data: the ``Dataset`` that it was trained on.
        method: the trained method with its encoder, on ``backend``. scores: its table, {representation: {metric:
        number}}; None of a run that is not finished.
    """

    def __init__(self, run, data, scores):
        self.settings, self.method, self.backend = run.settings, run.method, run.backend
        self.data, self.scores = data, scores

    def __repr__(self):
        return f"<run of {self.settings['loss']['name']} on {self.data.name}>"

    def fit(self, samples, y=None):
        """Nothing is learnt: it is trained. Returns the object."""
        return self

    def transform(self, samples):
        """What ``embed`` gives, as pipelines ask for it."""
        return self.embed(samples)

    def get_params(self, deep=True):
        """{}: a trained run has no settings that could be changed."""
        return {}

    def __sklearn_clone__(self):
        return self  # a copy would be trained anew

    def __sklearn_is_fitted__(self):
        return True

    def embed(self, samples, tower=None):
        """Rows (N, D) float32 on the host of samples of the kind that the run was trained on.

        Args:
            samples: images (N, C, H, W) or clips (N, T, C, H, W) in [0, 1], or a list of N texts.
            tower: "a" or "b" of a run of pairs of texts, or of images ("a") with captions ("b"); its first by default.
        Raises:
            ValueError: samples of another kind or shape, or a tower that the run has not.
        """
        encoders = encoders_of(self.method, self.data)
        if tower is not None and tower not in encoders:
            raise ValueError(f"embed: tower: got {tower!r}, expected {' or '.join(map(repr, encoders))} or None")
        encoder = encoders[tower or next(iter(encoders))]
        if not len(samples):
            raise ValueError("embed: samples: got none, expected one or more")
        if encoded_kind(self.data) == "texts" or (kind_of(self.data) == "captions" and tower == "b"):
            if isinstance(samples, str) or not all(isinstance(text, str) for text in samples):
                raise ValueError("embed: samples: expected a list of texts")
            return encode(encoder, list(samples), self.backend)
        images, expected = images_of("embed", samples), self.data.train.images.shape[1:]
        if images.shape[1:] != expected:
            raise ValueError(f"embed: samples: got shape {images.shape}, expected (N, {', '.join(map(str, expected))})")
        return encode(encoder, images, self.backend)


def images_of(caller, samples):
    """Images as an array of float32; a ValueError in the name of ``caller`` if they are no numbers."""
    try:
        return np.asarray(samples, dtype=np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"{caller}: samples: got {type(samples).__name__}, expected images (N, C, H, W)") from None


def load_run(path, device="cpu"):
    """The run in a folder that ``mini-repr train`` wrote, as a ``TrainedRun``.

    Args:
        device: cpu, gpu, gpu:N or auto.
    Raises:
        ValueError: no run there, a damaged checkpoint, or a device that cannot be had.
    """
    run, data = opened(path, device=device)
    run.method.eval()
    return TrainedRun(run, data, session.stored_report(run, session.open_folder(path)))
