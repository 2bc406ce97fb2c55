"""Training inside a claim: a whole run without a folder, and what its rows are worth."""

from mini_repr.backend import CPU
from mini_repr.methods import encode
from mini_repr.metrics import few_label_probe, knn_accuracy, linear_probe
from mini_repr.training.config import merge
from mini_repr.training.run import Run
from mini_repr.training.session import prepare

# A small batch-normalised MLP: an epoch of the digits takes a tenth of a second.
SMALL = {"encoder": {"name": "mlp", "width": 64, "hidden": 256, "depth": 2}, "train": {"epochs": 20}}


def trained(seed, each_epoch=None, data=None, start=None, **sections):
    """A finished ``Run`` on the CPU, as ``mini-repr train`` with these settings would train it.

    Args:
        seed: of weights, views and order.
        each_epoch: called with (run, record) after every epoch.
        data: a Dataset in place of the one that the settings name.
        start: the ``state_dict`` of another run's method, whose encoder this run goes on from.
        sections: settings by section, such as ``loss={"name": "infonce"}, train={"epochs": 5}``.
    """
    settings, own = prepare(merge(sections, {"train": {"seed": seed}}), data)
    run = Run(settings, own, CPU)
    if start is not None:
        run.method.start_from(start)
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
    """``scores`` of a run's encoder on the run's data, or on another set."""
    return scores(run.method.encoder, run.data if data is None else data)


def scores(encoder, data):
    """{"knn", "probe"}: accuracies of a data set's test rows, from an encoder's rows."""
    labelled = labelled_rows(encoder, data)
    return {"knn": knn_accuracy(*labelled, k=min(20, len(data.train))), "probe": linear_probe(*labelled)}


def few_labels(encoder, data, labels=10):
    """Accuracy of a linear probe with some labels per class, the mean over five draws of them.

    All labels leave little between encoders of the digits, and 360 test rows a deviation of 0.01 in ``probe``.
    """
    return few_label_probe(*labelled_rows(encoder, data), per_class=labels)[0]


def labelled_rows(encoder, data):
    """An encoder's rows of the training part, their labels, those of the test part, and theirs."""
    return [x for part in (data.train, data.test) for x in (encode(encoder, part.images, CPU), part.labels)]
