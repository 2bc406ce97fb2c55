"""Fitting tokens of both towers: the loss falls, the towers stay, and cosines are those of rows."""

import numpy as np
import pytest

from mini_repr.methods.representation_tokens import caption_ids, class_cosines, fitted_tokens
from mini_repr.nn.representation_tokens import RepresentationTokens
from mini_repr.standins import scenes_clip

CAPTIONS = ["a two", "a seven", "a nine"]
IMAGES, LABELS = np.random.default_rng(0).random((6, 1, 16, 16), dtype=np.float32), np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture(scope="module")
def towers():
    made = scenes_clip.make(0, width=16, depth=2, heads=2, dimensions=8)
    for parameter in made.parameters():
        parameter.requires_grad = False
    return made.eval()


@pytest.mark.parametrize("tokens", [{}, {"rank": 2, "fresh": 0.7}])
def test_images_are_told_apart_and_the_towers_stay(towers, tokens):
    before = {name: array.copy() for name, array in towers.state_dict().items()}
    space = RepresentationTokens(towers, np.random.default_rng(0), **tokens)
    rng = np.random.default_rng(1)
    fitted_tokens(space, towers, IMAGES, LABELS, CAPTIONS, rng, steps=150, lr=1e-2, anchor=0.0)
    of_image, of_tokens = class_cosines(space, towers, IMAGES, CAPTIONS)
    assert ((0.7 * of_image + 0.3 * of_tokens).argmax(axis=1) == LABELS).all()
    for name, array in towers.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_an_anchor_holds_rows_near_where_they_were(towers):
    def moved(anchor):
        space = RepresentationTokens(towers, np.random.default_rng(0))
        rng = np.random.default_rng(1)
        fitted_tokens(space, towers, IMAGES, LABELS, CAPTIONS, rng, steps=60, lr=1e-2, anchor=anchor)
        now, then = space.images(towers, IMAGES)[0].data, towers.images(IMAGES).data
        return 1 - ((now * then).sum(axis=1) / np.linalg.norm(now, axis=1) / np.linalg.norm(then, axis=1)).mean()

    assert moved(20.0) < 0.5 * moved(0.0)


def test_cosines_are_those_of_the_rows(towers):
    space = RepresentationTokens(towers, np.random.default_rng(3))
    text = space.texts(towers, caption_ids(towers, CAPTIONS)).data
    for found, rows in zip(class_cosines(space, towers, IMAGES, CAPTIONS), space.images(towers, IMAGES), strict=True):
        expected = [[r @ w / np.linalg.norm(r) / np.linalg.norm(w) for w in text] for r in rows.data]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
