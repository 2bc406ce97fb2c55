"""Sy-CON: a network that learns classes one group after another forgets less than one that is only finetuned.

Cha, Moon 2023, arXiv 2306.05101: class-incremental self-supervision. Digits in five tasks of two classes, without
labels, each task starting from the network of the last; an encoder so narrow (16), and steps so long, that tasks
compete for it (chosen on other seeds: a wide one forgets next to nothing of digits). *finetuning* trains each task on
NT-Xent; *own negatives* adds the stability term, each term with its own model's negatives (in the manner of CaSSLe);
*Sy-CON* has both models' in both. ``few``: linear evaluation on all ten classes after the last task, with ten labels a
class. *forgetting*: how far that accuracy on the test rows of a task has fallen from its best after any task, over the
first four.
"""

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.bench.bootstrap import probe_scores
from mini_repr.claims.bench.claim import Claim, higher, lower
from mini_repr.claims.bench.trained import rows_of
from mini_repr.data import Dataset, load
from mini_repr.metrics import few_label_probe
from mini_repr.training.config import merge
from mini_repr.training.run import Run
from mini_repr.training.session import prepare

TASKS = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
SETTINGS = {
    "encoder": {"name": "mlp", "width": 16, "hidden": 32, "depth": 2},
    "train": {"epochs": 40, "batch_size": 64},
    "optimizer": {"lr": 1e-2, "warmup_steps": 10},
}
ARMS = {"finetuning": None, "own negatives": {"negatives": "own"}, "Sy-CON": {"negatives": "both"}}


def learn(part, seed, past, settings):
    """A finished run on one task, from the weights of the last run; ``settings`` of the stability term, or None."""
    method = "siamese" if past is None or settings is None else "continual"
    sections = {"loss": {"name": "sy_con", **(settings or {})}, "method": {"name": method}, "train": {"seed": seed}}
    run = Run(*prepare(merge(SETTINGS, sections), Dataset(part.name, part, part)), CPU)
    if past is not None:
        run.method.start_from(
            {n: x for n, x in past.method.state_dict().items() if n.startswith(("encoder", "projector"))}
        )
    while not run.finished:
        run.train_epoch()
    return run


def task_accuracies(run, data):
    rows, test_rows = rows_of(run, data.train), rows_of(run, data.test)
    groups = [np.isin(data.test.labels, task) for task in TASKS]
    return [few_label_probe(rows, data.train.labels, test_rows[g], data.test.labels[g])[0] for g in groups]


def measure(seed):
    data = load("digits")
    parts = [data.train.take(np.isin(data.train.labels, task)) for task in TASKS]
    first = learn(parts[0], seed, None, None)
    arms = {}
    for arm, settings in ARMS.items():
        run, accuracies = first, [task_accuracies(first, data)]
        for part in parts[1:]:
            run = learn(part, seed, run, settings)
            accuracies.append(task_accuracies(run, data))
        history = np.array(accuracies)[:, :-1]
        forgetting = (history.max(axis=0) - history[-1]).mean()
        arms[arm] = {**probe_scores(run.method.encoder, data), "forgetting": forgetting}
    return arms


CLAIM = Claim(
    paper="044",
    says="with Sy-CON a network that meets classes in turn forgets less than by finetuning",
    measure=measure,
    expects=(
        lower("forgetting", "Sy-CON", "finetuning"),
        higher("few", "Sy-CON", "finetuning"),
        higher("few", "Sy-CON", "own negatives"),
    ),
    seeds=4,
)
