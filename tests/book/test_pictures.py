"""The pictures of losses: what is drawn is the loss's value and its derivative along the line."""

import re

import numpy as np
import pytest

from mini_repr.pages.registry import all_losses

pytest.importorskip("math_core", reason="the extra book is not installed")

from mini_repr.book import pictures
from mini_repr.book.svg import svg

LOSSES = all_losses()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("infonce", "similarity with its partner"),
        ("supcon", "similarity with one of its class"),
        ("uniformity", "similarity with another row"),
        ("cross_entropy", "one score of scores"),
        ("masked_regression", "one residual of prediction"),
        ("sparsemax", "one score of scores"),
    ],
)
def test_the_slope_is_the_derivative_of_the_value(name, says):
    page = LOSSES[name]
    arrays = pictures._inputs(page)
    way = pictures._way(page, arrays)
    assert way.says == says
    turns = says.startswith("similarity")
    curve = pictures._curve(page, way, name, (), {})

    def value(number):
        x = np.sin(number) if turns else number
        return float(page.value_and_grad(**{**arrays, way.name: way.at(x)})[0])

    for k in (5, 16, 27):
        number = np.arcsin(way.values[k]) if turns else way.values[k]
        assert curve.values[k] == pytest.approx(value(number))
        step = 1e-6
        difference = (value(number + step) - value(number - step)) / (2 * step)
        assert curve.slopes[k] == pytest.approx(difference, rel=1e-5, abs=1e-8)
    assert np.ptp(curve.values) > 1e-3


def test_a_similarity_goes_from_end_to_end():
    arrays = pictures._inputs(LOSSES["infonce"])
    way = pictures._way(LOSSES["infonce"], arrays)
    unit = arrays["b"][0] / np.linalg.norm(arrays["b"][0])
    for x in (-1.0, 0.3, 1.0):
        row = way.at(x)[0]
        assert row @ unit == pytest.approx(x * np.linalg.norm(row))
        assert np.linalg.norm(row) == pytest.approx(np.linalg.norm(arrays["a"][0]))


def test_a_residual_is_of_an_element_that_counts():
    arrays = pictures._inputs(LOSSES["masked_regression"])
    way = pictures._way(LOSSES["masked_regression"], arrays)
    moved = np.flatnonzero(way.at(0.7) != arrays["prediction"])
    assert len(moved) == 1
    assert way.at(0.7).flat[moved[0]] - arrays["target"].flat[moved[0]] == pytest.approx(0.7)
    assert arrays["mask"].repeat(arrays["target"].shape[-1], axis=-1).reshape(arrays["target"].shape).flat[moved[0]]


def test_partners_attract_on_the_circle():
    """InfoNCE's push on a row off its partner turns it towards the partner, between its negatives."""
    name, at = pictures._placed(LOSSES["infonce"])
    for offset in (-0.6, 0.6):
        angle = pictures.PARTNER + offset
        push = -LOSSES["infonce"].value_and_grad(**at(angle))[1][name][0]
        tangent = np.array([-np.sin(angle), np.cos(angle)])
        assert np.sign(push @ tangent) == -np.sign(offset)


def test_what_cannot_be_turned_in_a_plane_has_no_circle():
    assert pictures.push_on_a_circle(LOSSES["cross_entropy"]) == ""
    assert pictures.along_settings(LOSSES["sparsemax"]) == ""


def test_numbers_at_an_axis_keep_their_digits():
    def draw(figure):
        panel = figure.subplots()
        panel.plot([0.93812345, 0.93912345], [0.5, 0.501])

    text = svg(draw, (3, 2), "close numbers")
    shown = re.findall(r">([\d.]+)</text>", text)
    assert len(set(shown)) == len(shown) > 4
    assert max(len(number) for number in re.findall(r"\d+\.(\d+)", re.sub(r">[^<]*", ">", text))) <= 2
