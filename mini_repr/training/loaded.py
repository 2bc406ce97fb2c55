"""A trained run in a program of one's own: ``mini_repr.load_run("runs/infonce-digits-001").embed(images)``."""

import numpy as np

from mini_repr.methods import encode, encoded_kind, kind_of
from mini_repr.training import session
from mini_repr.training.evaluation import encoders_of, opened


class TrainedRun:
    """What a run has learnt.

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
        if encoded_kind(self.data) == "texts" or (kind_of(self.data) == "captions" and tower == "b"):
            if isinstance(samples, str) or not all(isinstance(text, str) for text in samples):
                raise ValueError("embed: samples: expected a list of texts")
            return encode(encoder, list(samples), self.backend)
        images, expected = np.asarray(samples, dtype=np.float32), self.data.train.images.shape[1:]
        if images.shape[1:] != expected:
            raise ValueError(f"embed: samples: got shape {images.shape}, expected (N, {', '.join(map(str, expected))})")
        return encode(encoder, images, self.backend)


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
