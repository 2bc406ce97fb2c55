"""Pairs with and without a grade: each kind by its own loss, whatever a batch holds of them."""

import numpy as np
import pytest

from mini_repr.backend import CPU
from mini_repr.data import Dataset, load
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.scores.cosent import cosent
from mini_repr.losses.scores.pearson import pearson
from mini_repr.losses.scores.pro import pro
from mini_repr.losses.scores.rank_kl import rank_kl
from mini_repr.methods import Batch, build_method
from mini_repr.training import config
from mini_repr.training.run import Run
from mini_repr.training.session import prepare

WHOLE = load("glosses", kind="tasks")
ROWS = np.concatenate([np.arange(40), len(WHOLE.train) - 1 - np.arange(40)])
DATA = Dataset(WHOLE.name, WHOLE.train.take(ROWS), WHOLE.test.take(np.arange(8)))
ENCODER = {"name": "text", "width": 8, "hidden": 16, "embedding": 8, "buckets": 64}


def method_for(data=DATA, loss="infonce", name="two_tasks", **method):
    chosen = {"encoder": ENCODER, "method": {"name": name, **method}, "loss": {"name": loss, "temperature": 0.1}}
    chosen = chosen if loss == "infonce" else {**chosen, "loss": {"name": loss}}
    made = build_method(config.resolve(chosen, "texts"), data, np.random.default_rng(0))
    return made, made.load(data.train, CPU)


def total_of(method, inputs, index):
    return method.step(Batch(tuple(x[index] for x in inputs), None, index), np.random.default_rng(0)).total


@pytest.mark.parametrize("graded", ["order", "cosent"])
def test_each_kind_counts_by_its_own_loss(graded):
    method, inputs = method_for(graded=graded, weight=0.7)
    a, b = (method.encoder(*method.encoder.tokenise(texts)).pooled.data for texts in (DATA.train.a, DATA.train.b))
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    index = np.arange(30, 60)
    plain, grades = index[:10], index[10:]
    assert np.isnan(DATA.train.similarity[plain]).all() and np.isfinite(DATA.train.similarity[grades]).all()
    s, y = cosines[grades].astype(np.float32), DATA.train.similarity[grades]
    of_order = (
        cosent(s, y).data
        if graded == "cosent"
        else (2 * pearson(s, y).data + 0.5 * pro(s, y).data + 5 * rank_kl(s, y).data)
    )
    expected = infonce(a[plain], b[plain], temperature=0.1).data + 0.7 * of_order
    total = total_of(method, inputs, index)
    assert float(total.data) == pytest.approx(float(expected), rel=1e-4)
    assert float(total.terms["graded"]) == pytest.approx(float(of_order), rel=1e-4)


def test_a_batch_of_one_kind_has_the_loss_of_that_kind():
    method, inputs = method_for()
    for index, name in ((np.arange(20), "infonce"), (np.arange(50, 70), "graded")):
        total = total_of(method, inputs, index)
        assert float(total.data) == pytest.approx(float(total.terms[name])) and float(total.data) > 0
        total.backward()
    lone = total_of(method, inputs, np.array([3, 60]))
    assert float(lone.data) == 0


def test_batches_of_one_task_each_in_a_run():
    chosen = {"method": {"name": "two_tasks"}, "encoder": ENCODER, "train": {"batch_size": 8, "batches": "tasks"}}
    settings, data = prepare(chosen, DATA)
    batches = Run(settings, data, CPU).batches.epoch_batches(0)
    kinds = [set(np.isnan(DATA.train.similarity[batch])) for batch in batches]
    assert len(batches) == 10 and all(len(kind) == 1 for kind in kinds) and {True} in kinds and {False} in kinds
    with pytest.raises(
        ValueError, match=r"train.batches: tasks: glosses has no graded similarities, expected pairs with"
    ):
        Run(*prepare({**chosen, "method": {}}, load("glosses")), CPU)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"data": load("glosses")}, "method two_tasks: glosses has pairs of one kind"),
        ({"data": load("glosses", kind="graded")}, "has pairs of one kind, expected some with a graded similarity"),
        ({"loss": "tico"}, "tico keeps a state of all rows, expected such as --loss infonce"),
        ({"name": "two_tower"}, "method two_tower: glosses has pairs with and without a graded similarity, expected"),
    ],
)
def test_what_is_not_two_tasks_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        method_for(**change)
