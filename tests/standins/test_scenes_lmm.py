"""The model that answers questions, untrained and small: packed questions, what each sees, and tokens that are kept."""

import numpy as np
import pytest

from mini_repr.data import digits
from mini_repr.data.generated.scenes import QUESTIONS
from mini_repr.nn.vision_decoder import visible
from mini_repr.standins import scenes_lmm

IMAGES, IDS, ANSWERS = scenes_lmm.asked(digits().test, np.random.default_rng(0), 3)


@pytest.fixture(scope="module")
def decoder():
    return scenes_lmm.make(0, width=16, depth=3, heads=2).eval()


def test_a_packed_question_is_answered_as_alone(decoder):
    packed = decoder(IMAGES, IDS).data
    assert packed.shape == (3, 8, len(QUESTIONS.words))
    for k in range(8):
        np.testing.assert_allclose(decoder(IMAGES, IDS[:, k : k + 1]).data[:, 0], packed[:, k], rtol=1e-3, atol=1e-5)


def test_an_answer_depends_on_its_image_and_question_alone(decoder):
    other = np.stack([IMAGES[0], 1 - IMAGES[1], IMAGES[2]])
    changed = np.abs(decoder(other, IDS).data - decoder(IMAGES, IDS).data).max(axis=(1, 2))
    assert changed[1] > 1e-5 and not changed[[0, 2]].any()


def test_who_sees_whom():
    found = visible(2, 2, 3)
    assert found[:2].sum() == 3 and found[2:, :2].all()
    assert not found[5:, 2:5].any() and found[7, 5:].all() and not found[5, 6:].any()


def test_keeping_all_is_keeping_no_count_and_dropped_tokens_are_gone(decoder):
    ids, full = IDS[:, :1], decoder(IMAGES, IDS[:, :1]).data
    everyone = np.broadcast_to(np.arange(16), (3, 16))
    np.testing.assert_allclose(decoder(IMAGES, ids, lambda *seen: everyone).data, full, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(decoder(IMAGES, ids, lambda *seen: None).data, full)
    shapes = []

    def keep(number, x, weights, count, last):
        assert count == x.shape[1] - 5
        shapes.append((number, x.shape[1], weights.shape[-1], last.tolist()))
        return everyone[:, : {1: 5, 2: 2}[number]]

    assert np.abs(decoder(IMAGES, ids, keep).data - full).max() > 1e-6
    ends = ((ids[:, 0] == 2).argmax(axis=1) + 16).tolist()
    assert shapes[0] == (1, 21, 21, ends) and shapes[1][:3] == (2, 10, 10)
    assert shapes[1][3] == [end - 11 for end in ends]


def test_many_questions_keep_all_tokens(decoder):
    with pytest.raises(ValueError, match="keep: got 8 questions an image, expected 1"):
        decoder(IMAGES, IDS, lambda *seen: None)


def test_places_that_are_known_are_kept_for_many_questions_as_for_one(decoder):
    kept = {1: np.array([[0, 3, 5, 9]] * 3), 2: np.array([[1, 2]] * 3)}
    packed = decoder(IMAGES, IDS, kept).data
    for k in (0, 5):
        alone = decoder(IMAGES, IDS[:, k : k + 1], lambda number, *seen: kept[number]).data
        np.testing.assert_allclose(packed[:, k], alone[:, 0], rtol=1e-3, atol=1e-5)


def test_vision_blocks_look_before_a_question_is_read():
    made = scenes_lmm.make(0, width=16, depth=2, heads=2, vision_depth=2).eval()
    tokens, weights = made.see(IMAGES)
    assert weights.shape == (3, 2, 16, 16) and (weights > 0).all()
    np.testing.assert_allclose(made.answer(made.read(tokens, IDS)).data, made(IMAGES, IDS).data, rtol=1e-5, atol=1e-6)
    changed = IMAGES.copy()
    changed[:, :, -4:, -4:] = 1 - changed[:, :, -4:, -4:]  # the last patch, which causal blocks hide from the others
    assert np.abs(made.see(changed)[0].data - tokens.data)[:, 0].max() > 1e-4


def test_training_lowers_the_loss_and_answers_are_words():
    small, losses = scenes_lmm.make(0, width=16, depth=2, heads=2), []
    scenes_lmm.train(small, 0, lambda step, of, loss: losses.append(loss), steps=60, scenes=100)
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5]) and not small.training
    found = scenes_lmm.answered(small, IMAGES, IDS[:, 4])
    assert found.shape == (3,) and ANSWERS.shape == (3, 8)
