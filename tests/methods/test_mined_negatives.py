"""Hard negatives for each query: mined, kept while they are hard, replaced by others, never the right answer."""

import numpy as np
import pytest

from mini_repr.autograd import unit_rows
from mini_repr.backend import CPU
from mini_repr.data import load
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.methods import Batch, build_method
from mini_repr.methods.mined_negatives import replaced
from mini_repr.training import config

DATA = load("glosses", kind="definition-example")
DATA = type(DATA)(DATA.name, DATA.train.take(np.arange(60)), DATA.test.take(np.arange(8)))
ENCODER = {"name": "text", "width": 8, "hidden": 16, "embedding": 8, "buckets": 64}


def method_for(data=DATA, loss="infonce", **method):
    chosen = {
        "encoder": ENCODER,
        "method": {"name": "mined_negatives", "negatives": 3, "skip": 2, **method},
        "loss": {"name": loss},
    }
    made = build_method(config.resolve(chosen, "texts"), data, np.random.default_rng(0))
    return made, made.load(data.train, CPU)


def unit(rng, count=40, width=6):
    return unit_rows.on_arrays(rng.standard_normal((count, width)))[0]


TEXTS = [f"t{k // 2}" for k in range(40)]  # each text twice


def test_the_hardest_texts_behind_the_skipped_ones_are_taken_but_for_right_answers():
    rng = np.random.default_rng(0)
    a, b = unit(rng), unit(rng)
    numbers, stored = replaced(a, b, TEXTS, np.full((40, 3), -1), np.zeros((40, 3)), 1.15, 0.8, skip=2)
    for i in range(40):
        order = [j for j in np.argsort(-(b @ a[i]), kind="stable").tolist() if j != i][2:]
        expected, used = [], {TEXTS[i]}
        for j in order:
            if TEXTS[j] not in used:
                expected.append(j)
                used.add(TEXTS[j])
        assert numbers[i].tolist() == expected[:3]
        np.testing.assert_allclose(stored[i], b[numbers[i]] @ a[i])


def test_only_what_became_easy_is_replaced():
    rng = np.random.default_rng(1)
    a, b = unit(rng), unit(rng)
    numbers, stored = replaced(a, b, TEXTS, np.full((40, 3), -1), np.zeros((40, 3)), 1.15, 0.8, skip=0)
    later = unit_rows.on_arrays(a + 0.5 * rng.standard_normal(a.shape))[0]
    now = (later[:, None] * b[numbers]).sum(axis=2)
    easy = (1.15 * now < stored) & (np.abs(now) < 0.8)
    assert 0.1 < easy.mean() < 0.9
    again, scores = replaced(later, b, TEXTS, numbers, stored, 1.15, 0.8, skip=0)
    assert ((again != numbers) == easy).all()
    np.testing.assert_array_equal(scores[~easy], stored[~easy])  # those that stay keep the score with which they came
    np.testing.assert_allclose(scores[easy], (later[:, None] * b[again]).sum(axis=2)[easy])
    for i in range(40):
        assert len({TEXTS[j] for j in again[i]} | {TEXTS[i]}) == 4
    anew, _ = replaced(later, b, TEXTS, numbers, stored, 0.0, 2.0, skip=0)
    assert (stored > 0).all() and (anew != numbers).all()


def test_negatives_of_the_batch_are_candidates_of_all_its_queries():
    method, inputs = method_for()
    index = np.arange(10, 26)
    total = method.step(Batch(tuple(x[index] for x in inputs), None, index), np.random.default_rng(0)).total
    rows = [method.encoder(*method.encoder.tokenise(texts)).pooled.data for texts in (DATA.train.a, DATA.train.b)]
    numbers = method.numbers[index]
    assert (numbers >= 0).all() and not (numbers == index[:, None]).any()
    settings = method.objective.settings
    expected = infonce(rows[0][index], rows[1][index], hard_negatives=rows[1][numbers.reshape(-1)], **settings)
    assert float(total.data) == pytest.approx(float(expected.data), rel=1e-5)


def test_a_look_comes_every_so_many_steps(monkeypatch):
    method, _ = method_for(every=3)
    looks = []
    monkeypatch.setattr(method, "look_again", lambda: looks.append(1))
    for step in range(1, 10):
        method.after_step(step, 9)
    assert len(looks) == 3


@pytest.mark.parametrize(
    "change, message",
    [
        ({"data": load("glosses", kind="sibling-negatives")}, "got pairs with hard negatives of their own in glosses"),
        ({"loss": "vicreg"}, "method mined_negatives: cannot train vicreg"),
        ({"negatives": 58}, "negatives: got 58 after skip 2, expected fewer than the 60 texts"),
    ],
)
def test_what_cannot_be_mined_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        method_for(**change)


def test_too_few_different_texts_are_refused():
    train = DATA.train.take(np.arange(60) % 3)
    method, inputs = method_for(type(DATA)(DATA.name, train, DATA.test))
    with pytest.raises(ValueError, match="has too few different texts"):
        method.sample(*inputs, np.random.default_rng(0))
