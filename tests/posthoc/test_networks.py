"""Networks that procedures change: what is given to them, what they put out, and how they are stored."""

import numpy as np
import pytest

from mini_repr.nn import Linear
from mini_repr.posthoc.networks import Given, changed, of_rows, restored, stored, trained_on_rows

RNG = np.random.default_rng(0)
LABELS = np.arange(40) % 2
X = (RNG.normal(size=(40, 4)) + 3 * LABELS[:, None]).astype(np.float32)
TRAIN = np.arange(40) < 30


def given(**arrays):
    return Given(X, TRAIN, {"labels": LABELS, **arrays})


def test_rows_to_forget_are_named_by_numbers_or_booleans():
    gone, kept = given(forget=np.array([1, 3])).forget()
    assert np.flatnonzero(gone).tolist() == [1, 3] and not kept[30:].any() and kept.sum() == 28
    same, _ = given(forget=np.isin(np.arange(40), [1, 3])).forget()
    np.testing.assert_array_equal(gone, same)
    assert given(forget=np.array([1])).parts("unlearn").keys() == {"forget", "retain", "test"}
    assert given().parts("tune_calibrated").keys() == {"train", "test"}
    assert Given(X, np.ones(40, bool), {}).parts("tune_calibrated").keys() == {"train"}


@pytest.mark.parametrize("forget", [[], [40], [-1], [2, 2], [31], list(range(30)), [0.5], LABELS])
def test_what_does_not_say_which_is_refused(forget):
    with pytest.raises(ValueError, match=r"forget: got .*, expected (booleans \(40,\)|some of the 30)"):
        given(forget=np.array(forget)).forget()


def test_a_network_for_calibration_begins_as_the_identity_and_one_to_forget_has_learnt():
    linear = trained_on_rows("tune_calibrated", given(), 0)
    np.testing.assert_array_equal(linear.outputs(X)["z"], X)
    assert "scores" not in linear.outputs(X)
    net = trained_on_rows("unlearn", given(), 0)
    outputs = net.outputs(X, batch=7)
    np.testing.assert_allclose(outputs["scores"], net.outputs(X)["scores"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(net.head(outputs["z"]).data, outputs["scores"], rtol=1e-5, atol=1e-6)
    assert (outputs["scores"].argmax(axis=1) == LABELS)[TRAIN].all()


def test_effects_are_those_of_the_change():
    net, data = trained_on_rows("forget_without_labels", given(), 0), given(forget=np.array([0, 2, 4]))
    before = net.outputs(X)
    head = net.head.weight.data.copy()
    effects = changed("forget_without_labels", net, data, {"epochs": 3, "autoencoder_steps": 20})
    after = net.outputs(X)
    np.testing.assert_array_equal(net.head.weight.data, head)  # the extractor alone forgets
    for effect, part in zip(effects, data.parts("forget_without_labels").values(), strict=True):
        a, b = before["z"][part], after["z"][part]
        cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        assert effect.cosine == pytest.approx(cosine.mean(), abs=1e-5)
        assert effect.before == (before["scores"].argmax(axis=1) == LABELS)[part].mean()
        assert effect.after == (after["scores"].argmax(axis=1) == LABELS)[part].mean()


def test_what_is_stored_is_restored_to_the_bit():
    net = trained_on_rows("unlearn", given(), 1)
    again = restored("unlearn", stored("unlearn", net), lambda head: of_rows("unlearn", 4, head), "file")
    np.testing.assert_array_equal(again.outputs(X)["scores"], net.outputs(X)["scores"])
    with pytest.raises(ValueError, match="--load file: of another network: Network: state"):
        restored("unlearn", stored("unlearn", net), lambda head: of_rows("unlearn", 5, head), "file")
    assert isinstance(again.head, Linear)
