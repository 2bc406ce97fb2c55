import numpy as np

from mini_repr.masking.word_attention import drawn_word, word_maps


def arrays(seed=0, shape=(3, 4, 5, 6)):
    rng = np.random.default_rng(seed)
    attention = rng.random(shape)
    return attention / attention.sum(axis=-1, keepdims=True), rng.standard_normal(shape)


def test_maps_equal_their_definition():
    attention, gradient = arrays()
    before = attention.copy(), gradient.copy()
    maps = word_maps(attention, gradient)
    np.testing.assert_allclose(maps, word_maps.definition(attention, gradient), rtol=1e-12, atol=1e-14)
    assert (attention == before[0]).all() and (gradient == before[1]).all()


def test_maps_reach_from_0_to_1():
    maps = word_maps(*arrays(1))
    assert maps.shape == (3, 5, 6) and maps.min() >= 0
    assert set(maps.max(axis=-1).ravel()) == {1.0}


def test_where_nothing_speaks_for_the_score_nothing_is_hidden():
    attention, gradient = arrays(2)
    gradient[1, :, 3] = -1
    maps = word_maps(attention, gradient)
    assert not maps[1, 3].any() and maps[1, 1].any()


def test_heads_are_averaged_before_the_negative_is_cut():
    attention, gradient = np.full((1, 2, 1, 2), 0.5), np.zeros((1, 2, 1, 2))
    gradient[0, :, 0] = [[4, 1], [-3, 1]]
    np.testing.assert_allclose(word_maps(attention, gradient)[0, 0], [0.5, 1])


def test_every_word_is_drawn_as_often_and_padding_never():
    mask = np.tile([True, True, False, True, False], (3000, 1))
    drawn = drawn_word(mask, np.random.default_rng(0).random(3000))
    counts = np.bincount(drawn, minlength=5)
    assert counts[2] == counts[4] == 0 and counts[[0, 1, 3]].min() > 900
    assert drawn_word(mask[:2], np.array([0.0, 0.9999999])).tolist() == [0, 3]
    assert drawn_word(np.zeros((1, 4), bool), np.array([0.7])).tolist() == [0]
