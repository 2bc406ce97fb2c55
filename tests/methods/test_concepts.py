"""Rows for new words: only they move, subsets are drawn as they should be, and masks say what counts."""

import numpy as np
import pytest
from awakened import awake

from mini_repr.autograd import Tensor
from mini_repr.data import digits
from mini_repr.data.generated.scenes import scene
from mini_repr.methods import flow
from mini_repr.methods.concepts import TunedConcepts, extracted_concepts, fitted_rows, objects_loss, tuned_concepts
from mini_repr.standins import scenes_flow


@pytest.fixture(scope="module")
def denoiser():
    return awake(scenes_flow.make(0, width=16, depth=2, heads=2))


ONE = scene(np.random.default_rng(3), digits().test, "relation")
IMAGE, START = ONE.image[None], np.full(16, 0.1, np.float32)


def test_rows_are_drawn_to_where_the_loss_is_least_and_their_start_is_left():
    start = {"s1": np.zeros(3), "s2": np.ones(3)}

    def loss_of(slots):
        return ((slots["s1"] - Tensor(np.array([1.0, 2.0, 3.0]))) ** 2).sum()

    found = fitted_rows(start, loss_of, steps=400, lr=0.05)
    np.testing.assert_allclose(found["s1"], [1, 2, 3], atol=0.05)
    np.testing.assert_array_equal(found["s2"], start["s2"])
    assert not start["s1"].any()


def test_a_row_for_each_mask_the_same_for_one_seed_and_nothing_else_moves(denoiser):
    before = {name: array.copy() for name, array in denoiser.state_dict().items()}
    once, again = (
        extracted_concepts(denoiser, IMAGE, ONE.masks, START, np.random.default_rng(0), steps=4) for _ in range(2)
    )
    assert list(once) == ["s1", "s2"]
    for word in once:
        np.testing.assert_array_equal(once[word], again[word])
        assert (once[word] != START).any()
    for name, array in denoiser.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def captions_of(denoiser, monkeypatch, masks, **settings):
    """The captions of the steps, and the masks that the denoising loss was given."""
    said, given = [], []
    read, loss = denoiser.ids, flow.flow_matching
    monkeypatch.setattr(denoiser, "ids", lambda captions: said.append(captions) or read(captions))
    monkeypatch.setattr(flow, "flow_matching", lambda *a: given.append(a[3]) or loss(*a))
    extracted_concepts(denoiser, IMAGE, masks, START, np.random.default_rng(0), steps=40, **settings)
    return [c for step in said for c in step], given


def test_each_object_is_in_a_subset_as_often_as_the_sizes_say(denoiser, monkeypatch):
    masks = np.zeros((3, 16, 16), bool)
    for k in range(3):
        masks[k, 8 * (k // 2) : 8 * (k // 2) + 8, 8 * (k % 2) : 8 * (k % 2) + 8] = True
    said, given = captions_of(denoiser, monkeypatch, masks)
    for word in ("s1", "s2", "s3"):  # (n + 1) / 2n = 2/3 of 320 captions
        assert abs(np.mean([word in caption for caption in said]) - 2 / 3) < 0.09
    sizes = np.bincount([caption.count("a ") for caption in said], minlength=4)[1:]
    assert np.abs(sizes / len(said) - 1 / 3).max() < 0.09
    shares = np.array([m.mean(axis=(1, 2)) for m in given]).ravel()
    np.testing.assert_allclose(shares, [caption.count("a ") / 4 for caption in said], rtol=1e-6)


def test_without_union_or_masks_all_words_are_said_and_all_counts(denoiser, monkeypatch):
    said, given = captions_of(denoiser, monkeypatch, ONE.masks, union=False, masked=False)
    assert set(said) == {"a s1 and a s2"} and set(map(type, given)) == {type(None)}


def test_an_empty_mask_or_too_many_are_refused(denoiser):
    empty, many = np.zeros((2, 16, 16), bool), np.ones((9, 16, 16), bool)
    for masks, words in ((empty, "2, 2 without a pixel"), (many, "9, 0 without")):
        with pytest.raises(ValueError, match=f"extracted_concepts: masks: got {words}"):
            extracted_concepts(denoiser, IMAGE, masks, START, np.random.default_rng(0))


def test_the_second_phase_tunes_a_copy_and_keeps_what_the_prior_shows(denoiser):
    rows = extracted_concepts(denoiser, IMAGE, ONE.masks, START, np.random.default_rng(0), steps=4)
    others = [scene(np.random.default_rng(k), digits().train, "one") for k in range(12)]
    prior = np.stack([other.image for other in others])[:, None], [other.caption for other in others]
    before = denoiser.state_dict()

    def tuned(**settings):
        return tuned_concepts(denoiser, IMAGE, ONE.masks, rows, prior, np.random.default_rng(1), **settings)

    made, again = tuned(steps=30, lr=3e-3), tuned(steps=30, lr=3e-3)
    assert list(made.rows) == ["s1", "s2"] and not any(p.requires_grad for p in made.denoiser.parameters())
    for name, array in denoiser.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
        np.testing.assert_array_equal(made.denoiser.state_dict()[name], again.denoiser.state_dict()[name])
    assert (made.denoiser.embed.weight.data != before["embed.weight"]).any()
    assert (made.denoiser.words.weight.data != before["words.weight"]).any()
    assert all((made.rows[word] != rows[word]).any() for word in rows)

    def errors(one):
        """Losses of the picture where its objects are, under both words, and of the prior's pictures."""
        rng = np.random.default_rng(2)
        objects = objects_loss(one.denoiser, IMAGE, ONE.masks, rng, 64, 0.0, False, True)
        slots = {word: Tensor(row) for word, row in one.rows.items()}
        times, noise = flow.middling_times(rng, 12), rng.standard_normal(prior[0].shape, dtype=np.float32)
        text = one.denoiser.read(one.denoiser.ids(prior[1]))
        kept = flow.denoising_loss(one.denoiser, 2 * prior[0] - 1, noise, times, text)[0]
        return float(objects(slots).data), float(kept.data)

    first, without = errors(TunedConcepts(denoiser, rows)), errors(tuned(steps=30, lr=3e-3, prior_weight=0.0))
    last = errors(made)
    assert last[0] < first[0] and last[1] < first[1] and last[1] < without[1]


def test_other_words_than_the_masks_ask_for_are_refused(denoiser):
    prior = np.zeros((1, 1, 16, 16), np.float32), ["a seven"]
    with pytest.raises(ValueError, match="tuned_concepts: rows: got s1, expected s1, s2"):
        tuned_concepts(denoiser, IMAGE, ONE.masks, {"s1": START}, prior, np.random.default_rng(0))
