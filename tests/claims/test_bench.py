"""What claims share: data held out for choosing, halves of digits, copies of texts."""

import numpy as np
import pytest

from mini_repr.claims.bench import digit_halves
from mini_repr.claims.bench.altered import at_most, held_out, mislabelled
from mini_repr.claims.bench.copies import copies, pairs_of_copies
from mini_repr.claims.bench.retrieval import scores
from mini_repr.data import load
from mini_repr.losses.pairs.infonce import infonce


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_settings_are_chosen_without_a_test_row(digits):
    chosen = held_out(digits)
    assert len(chosen.train) + len(chosen.test) == len(digits.train)
    assert len(chosen.test) == len(digits.train) // 5
    known = {image.tobytes() for image in digits.train.images}
    parts = [{image.tobytes() for image in part.images} for part in (chosen.train, chosen.test)]
    assert parts[0] | parts[1] == known


def test_mislabelled_share_is_wrong(digits):
    noisy = mislabelled(digits, 0.4, np.random.default_rng(0))
    wrong = (noisy.train.labels != digits.train.labels).mean()
    assert wrong == pytest.approx(0.4, abs=1e-3)
    assert np.array_equal(noisy.test.labels, digits.test.labels)


def test_at_most_so_many_rows_of_a_class(digits):
    few = at_most(digits, [100, 10] * 5, np.random.default_rng(0))
    assert np.bincount(few.train.labels).tolist() == [100, 10] * 5


def test_halves_meet_again_after_training():
    rows = digit_halves.rows_of_halves(infonce, 0, epochs=2, choosing=True)
    assert rows[0].shape == rows[1].shape == (287, 64)
    (left, right), _ = digit_halves.parts(choosing=True)
    assert left.shape == right.shape == (1150, 1, 8, 4)
    found = scores(*rows)
    assert found["MRR"] > 3 * (np.log(287) / 287)  # three times what chance gives


def test_gap_by_hand():
    a = np.eye(10)
    b = a + np.roll(a, 1, axis=1)  # each row is as near to its partner as to the one before
    assert scores(a, b)["gap"] == pytest.approx(0.0)
    assert scores(a, a)["gap"] == pytest.approx(1.0) and scores(a, a)["MRR"] == 1.0


def test_copies_lose_words_and_never_all():
    rng = np.random.default_rng(0)
    texts = ["one two three four five six seven eight nine ten"] * 50
    made = copies(texts, 2, rng, lost=0.6)
    assert len(made) == 100 and all(made)
    kept = np.mean([len(text.split()) for text in made])
    assert 3 < kept < 5
    assert copies(["word"], 3, rng, lost=1.0) == ["word"] * 3


def test_pairs_of_copies_are_of_definitions_all_different():
    data = pairs_of_copies(40, 30, np.random.default_rng(0), lost=0.0)
    assert data.train.a == data.train.b and len(set(data.train.a)) == 40 and len(data.test) == 30
