"""Procedures that change a whole network, on inputs from anywhere: what each needs, applies and is judged by.

A network is an encoder and a head from its rows to scores. It comes from a trained run; for the rows of another library
a small one is made here: to forget, one hidden layer that is trained on all training rows, those to forget among them;
to be calibrated, a linear map that begins as the identity.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.autograd import Tensor, no_grad, unit_rows
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.nn import Linear, Module
from mini_repr.nn.linear_encoder import LinearEncoder
from mini_repr.nn.mlp import ImageMLP
from mini_repr.optim import descended
from mini_repr.posthoc.individual_calibration import tune_calibrated
from mini_repr.posthoc.unlearning.laf import forget_without_labels
from mini_repr.posthoc.unlearning.loreun import unlearn

HIDDEN, WIDTH = 128, 32
STEPS, BATCH, RATE = 1000, 64, 3e-3


class Extractor(Module):
    """Rows (N, D) of inputs of one shape, by an encoder; they may come flattened."""

    def __init__(self, encoder, shape):
        self.encoder, self.shape = encoder, tuple(shape)

    def forward(self, x):
        return self.encoder(x.reshape(len(x), *self.shape)).pooled


class Network(Module):
    """Scores (N, C) of inputs: a head on the rows of an extractor. head: None where there are none."""

    def __init__(self, extractor, head=None):
        self.extractor, self.head = extractor, head

    def forward(self, x):
        return self.head(self.extractor(x))

    def outputs(self, x, batch=512):
        """{"z": rows (N, D), "scores": (N, C), where it has a head}, arrays, in evaluation mode."""
        self.eval()
        with no_grad():
            z = np.concatenate([self.extractor(Tensor(x[k : k + batch])).data for k in range(0, len(x), batch)])
            return {"z": z} if self.head is None else {"z": z, "scores": self.head(Tensor(z)).data}


class Given(NamedTuple):
    """x: inputs (N, ...). train: booleans (N,). arrays: {name: array}, labels (N,) and forget among them.

    where: what errors begin with.
    """

    x: np.ndarray
    train: np.ndarray
    arrays: dict
    where: str = "posthoc"

    def labels(self):
        """Whole numbers (N,) from 0.

        Raises:
            ValueError: there are none, or others.
        """
        labels = self._needed("labels", "one class per row, whole numbers from 0")
        if labels.shape != (len(self.x),) or labels.dtype.kind not in "iu" or labels.min() < 0:
            wanted = f"whole numbers from 0, ({len(self.x)},)"
            raise ValueError(f"{self.where}: labels: got {labels.dtype} of shape {labels.shape}, expected {wanted}")
        return labels.astype(np.int64)

    def forget(self):
        """(booleans (N,) of the training rows to forget, of the others).

        Raises:
            ValueError: none or all of them, test rows, or what does not say which.
        """
        count = len(self.x)
        chosen = self._needed("forget", "booleans, one per row, or numbers of rows, training rows first")
        numbers = chosen.dtype.kind in "iu" and chosen.ndim == 1 and chosen.size == len(np.unique(chosen)) > 0
        if numbers and chosen.min() >= 0 and chosen.max() < count:
            chosen = np.isin(np.arange(count), chosen)
        if chosen.dtype.kind != "b" or chosen.shape != (count,):
            got = f"{chosen.dtype} of shape {chosen.shape}"
            wanted = f"booleans ({count},), or whole numbers from 0 to {count - 1}, each once"
            raise ValueError(f"{self.where}: forget: got {got}, expected {wanted}")
        if (chosen & ~self.train).any() or not (chosen & self.train).any() or not (~chosen & self.train).any():
            got = f"{int(chosen.sum())} rows, {int((chosen & ~self.train).sum())} of them test rows"
            raise ValueError(
                f"{self.where}: forget: got {got}, expected some of the {int(self.train.sum())} training rows"
            )
        return chosen, self.train & ~chosen

    def parts(self, name):
        """{name: booleans (N,)} of the rows that a procedure tells apart, and of test rows where there are any."""
        if name == "tune_calibrated":
            named = {"train": self.train}
        else:
            named = dict(zip(("forget", "retain"), self.forget(), strict=True))
        return named | ({} if self.train.all() else {"test": ~self.train})

    def flat(self):
        """Inputs (N, D)."""
        return self.x.reshape(len(self.x), -1)

    def _needed(self, name, what):
        if name not in self.arrays:
            told = f"--map {name}=ARRAY or --map {name}=FILE.npz:ARRAY"
            raise ValueError(f"{self.where}: no array {name!r}, expected {what}; {told}")
        return self.arrays[name]


def _unlearned(network, given, settings):
    (gone, kept), labels, x = given.forget(), given.labels(), given.flat()
    unlearn(network, x[gone], labels[gone], x[kept], labels[kept], **settings)


def _forgotten(network, given, settings):
    (gone, kept), x = given.forget(), given.flat()
    forget_without_labels(network.extractor, x[gone], x[kept], **settings)


def _calibrated(network, given, settings):
    drawn = {name: given.arrays[name] for name in ("samples", "sample_labels") if name in given.arrays}
    images, labels = given.x.reshape(len(given.x), *network.extractor.shape), given.labels()
    tuned = tune_calibrated(network.extractor.encoder, images[given.train], labels[given.train], **drawn, **settings)
    network.head = tuned.head


CHANGES = {"unlearn": _unlearned, "forget_without_labels": _forgotten, "tune_calibrated": _calibrated}


def of_run(encoder, shape, head=None):
    """The network of a trained run on inputs of a shape."""
    return Network(Extractor(encoder, shape), head)


def of_rows(name, width, head):
    """A network for rows (N, width), untrained, to which a head is put."""
    rng = np.random.default_rng(0)
    if name != "tune_calibrated":
        return of_run(ImageMLP((width,), rng, width=WIDTH, hidden=HIDDEN, depth=2, norm=None), (width,), head)
    encoder = LinearEncoder((1, 1, width), rng, width=width)
    encoder.linear.weight.data[...] = np.eye(width)
    return of_run(encoder, (1, 1, width), head)


def trained_on_rows(name, given, seed):
    """``of_rows``; where it is to forget, trained on all training rows by cross-entropy."""
    labels, train, width = given.labels(), np.flatnonzero(given.train), given.x.shape[1]
    if name == "tune_calibrated":
        return of_rows(name, width, None)
    rng = np.random.default_rng(seed)
    network = of_rows(name, width, Linear(WIDTH, int(labels.max()) + 1, rng))

    def loss():
        chosen = rng.choice(train, min(BATCH, len(train)), replace=False)
        return cross_entropy(network(given.x[chosen]), labels[chosen])

    descended(network.named_parameters(), loss, steps=STEPS, lr=RATE)
    return network


class Effect(NamedTuple):
    """Of one part of the rows: accuracy before and after, where it has one; mean cosine of rows with those before."""

    part: str
    before: float | None
    after: float | None
    cosine: float


def changed(name, network, given, settings):
    """Apply a procedure in place: [``Effect`` of each part of the rows]."""
    before = network.outputs(given.x)
    CHANGES[name](network, given, settings)
    after = network.outputs(given.x)
    cosine = (unit_rows.on_arrays(before["z"])[0] * unit_rows.on_arrays(after["z"])[0]).sum(axis=1)

    def accuracy(outputs, part):
        if "scores" not in outputs or "labels" not in given.arrays:
            return None
        return float((outputs["scores"].argmax(axis=1) == given.labels())[part].mean())

    return [
        Effect(part, accuracy(before, chosen), accuracy(after, chosen), float(cosine[chosen].mean()))
        for part, chosen in given.parts(name).items()
    ]


def stored(name, network):
    """{name: array} of a network that ``restored`` reads."""
    return {"changed_by": np.array(name)} | {f"state/{key}": array for key, array in network.state_dict().items()}


def restored(name, arrays, make, path):
    """The network in the arrays of a file that ``stored`` filled.

    Args:
        make: takes the head, None where the file has none, and returns the network to write into.
    Raises:
        ValueError: other arrays, another procedure, or another network.
    """
    state = {key.removeprefix("state/"): array for key, array in arrays.items() if key.startswith("state/")}
    if "changed_by" not in arrays or not state:
        raise ValueError(f"--load {path}: holds {', '.join(arrays) or 'nothing'}, expected what an earlier --out wrote")
    if str(arrays["changed_by"]) != name:
        raise ValueError(f"--load {path}: written by {arrays['changed_by']}, expected {name}")
    weight = state.get("head.weight")
    network = make(None if weight is None else Linear(*weight.shape, np.random.default_rng(0)))
    try:
        network.load_state_dict(state)
    except ValueError as problem:
        raise ValueError(f"--load {path}: of another network: {problem}") from None
    return network.eval()
