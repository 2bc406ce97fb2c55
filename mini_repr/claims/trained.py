"""Training inside a claim: a whole run without a folder, and what its rows are worth."""

from mini_repr.backend import CPU
from mini_repr.methods import encode
from mini_repr.metrics import knn_accuracy, linear_probe
from mini_repr.training.config import merge
from mini_repr.training.run import Run
from mini_repr.training.session import prepare

# A small batch-normalised MLP: an epoch of the digits takes a tenth of a second.
SMALL = {"encoder": {"name": "mlp", "width": 64, "hidden": 256, "depth": 2}, "train": {"epochs": 20}}


def trained(seed, each_epoch=None, data=None, **sections):
    """A finished ``Run`` on the CPU, as ``mini-repr train`` with these settings would train it.

    Args:
        seed: of weights, views and order.
        each_epoch: called with (run, record) after every epoch.
        data: a Dataset in place of the one that the settings name.
        sections: settings by section, such as ``loss={"name": "infonce"}, train={"epochs": 5}``.
    """
    settings, own = prepare(merge(sections, {"train": {"seed": seed}}), data)
    run = Run(settings, own, CPU)
    while not run.finished:
        record = run.train_epoch()
        if each_epoch:
            each_epoch(run, record)
    return run


def rows_of(run, part):
    """Pooled rows (N, D) of images, a part of a data set, from a run's encoder."""
    return encode(run.method.encoder, part.images, CPU)


def pair_rows(run, part):
    """The rows (N, D) of both sides of a part of text pairs, from a run's towers."""
    return [encode(tower, texts, CPU) for tower, texts in zip(run.method.towers, (part.a, part.b), strict=True)]


def digit_scores(run, data=None):
    """{"knn", "probe"}: accuracies on the test rows of the run's data, or of another set."""
    data = run.data if data is None else data
    rows = [rows_of(run, part) for part in (data.train, data.test)]
    labelled = (rows[0], data.train.labels, rows[1], data.test.labels)
    return {"knn": knn_accuracy(*labelled, k=min(20, len(rows[0]))), "probe": linear_probe(*labelled)}
