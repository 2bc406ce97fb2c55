"""Damaged jigsaw puzzles: what each task sees, what it is to tell, and that a weight of 0 switches it off."""

import numpy as np
import pytest

from mini_repr.autograd import no_grad
from mini_repr.data import load
from mini_repr.data.views import LUMA
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.methods import Batch, build_method
from mini_repr.methods.jigsaw import chroma_of, grey
from mini_repr.training import config

DATA = load("coloured", count=20)
IMAGES = DATA.train.images[:12]


def method_for(data=DATA, encoder=None, **own):
    chosen = {
        "loss": {"name": "cross_entropy"},
        "method": {"name": "jigsaw", "views": "", "permutations": 8, **own},
        "encoder": encoder or {"name": "tiles", "features": 8, "hidden": 16},
    }
    return build_method(config.resolve(chosen), data, np.random.default_rng(0))


def tile(image, place):
    """The tile (3, 4, 4) at a place of an image (3, 12, 12)."""
    row, column = divmod(int(place), 3)
    return image[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]


@pytest.mark.parametrize("damage", ["joint", "separate"])
def test_what_each_task_sees_and_is_to_tell(damage):
    method = method_for(damage=damage)
    images, number, missing = method.sample(IMAGES, np.random.default_rng(1))
    assert len(set(number)) > 1 and len(set(missing)) > 1
    puzzles = method.puzzles(images, number, missing)
    orders, content, chroma, there = method.targets(images, number, missing)
    np.testing.assert_array_equal(orders, number)
    for k in range(12):
        luma = np.tensordot(LUMA, images[k], 1)
        for place in range(9):
            source = method.orders[number[k], place]
            shown = [tile(puzzle[k], place) for puzzle in puzzles]
            if damage == "joint":
                expected = [np.stack([tile(luma[None], source)[0]] * 3) * (place != missing[k])] * 3
                coloured = tile(images[k], source)
            else:
                whole = tile(images[k], place)
                expected = [tile(images[k], source), whole * (place != missing[k]), [tile(luma[None], place)[0]] * 3]
                coloured = whole
            np.testing.assert_allclose(shown, expected, atol=1e-6)
            blue, red = (coloured[c] - np.tensordot(LUMA, coloured, 1) for c in (2, 0))
            np.testing.assert_allclose(
                chroma[k, place], np.stack([blue / 1.772, red / 1.402], axis=-1).ravel(), atol=1e-6
            )
            assert there[k, place] == (damage == "separate" or place != missing[k])
            if place == missing[k]:
                np.testing.assert_array_equal(content[k, 0], coloured.transpose(1, 2, 0).ravel())


def test_a_step_is_the_weighted_sum_of_three_tasks():
    method = method_for(jigsaw=0.5, inpainting=2.0, colour=3.0)
    step = method.step(Batch((IMAGES,), DATA.train.labels[:12], np.arange(12)), np.random.default_rng(1))
    inputs = method.sample(IMAGES, np.random.default_rng(1))
    with no_grad():
        scores, content, chroma, _ = (x.data for x in method.embed(*inputs))
    number, true_content, true_chroma, there = method.targets(*inputs)
    expected = 0.5 * float(cross_entropy.value_and_grad(scores, number)[0])
    expected += 2 * ((content - true_content) ** 2).mean() + 3 * ((chroma - true_chroma) ** 2)[there].mean()
    np.testing.assert_allclose(step.total.data, expected, rtol=1e-5)
    assert set(step.total.terms) == {"cross_entropy", "inpainting", "colour"}


@pytest.mark.parametrize("task, head", [("jigsaw", "order"), ("inpainting", "content"), ("colour", "chroma")])
def test_a_weight_of_zero_switches_a_task_off(task, head):
    method = method_for(**{task: 0.0})
    step = method.step(Batch((IMAGES,), None, np.arange(12)), np.random.default_rng(1))
    step.total.backward()
    for name in ("order", "content", "chroma"):
        assert getattr(method, name).weight.grad.any() == (name != head)
    assert method.encoder.mlp.linears[0].weight.grad.any()


def test_grey_has_no_chroma_and_keeps_its_luma():
    tiles = np.random.default_rng(0).random((2, 3, 12))
    once = grey(tiles)
    np.testing.assert_allclose(chroma_of(once), 0, atol=1e-15)
    np.testing.assert_allclose(grey(once), once, atol=1e-15)
    full = np.eye(3).reshape(1, 1, 9)
    np.testing.assert_allclose(np.abs(chroma_of(full)).reshape(3, 2)[[2, 0], [0, 1]], 0.5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="method jigsaw: got images of 1 channel, expected colour"):
        method_for(load("wandering", count=20, canvas=12))
    with pytest.raises(ValueError, match=r"method jigsaw: side: got 5 and images of shape \(3, 12, 12\)"):
        method_for(side=5)
    with pytest.raises(ValueError, match="encoder tiles: side: got 5"):
        method_for(encoder={"name": "tiles", "side": 5})
    with pytest.raises(ValueError, match=r"permutation_set: got 30 permutations of 4 pieces, expected 2 to 24"):
        method_for(side=2, permutations=30)
    with pytest.raises(ValueError, match="method jigsaw: cannot train infonce"):
        config.resolve({"loss": {"name": "infonce"}, "method": {"name": "jigsaw"}})
