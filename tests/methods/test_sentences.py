"""Texts one by one, twice through dropout: SimCSE, and UNSEE's target network."""

import numpy as np
import pytest

from mini_repr.backend import CPU
from mini_repr.data import Dataset, TextSet
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.pairs.vicreg import vicreg
from mini_repr.methods import Batch, build_method
from mini_repr.methods.state import updated_statistics
from mini_repr.training import config

TEXTS = [f"a{i % 5} word{i} and b{i % 3} more{2 * i}" for i in range(24)]
DATA = Dataset("f", TextSet("f", TEXTS), TextSet("f", TEXTS[:8]))
ENCODER = {"name": "text", "width": 8, "hidden": 16, "embedding": 8, "buckets": 64, "dropout": 0.3}


def method_for(name, loss="infonce", encoder=None, **method):
    chosen = {"encoder": {**ENCODER, **(encoder or {})}, "method": {"name": name, **method}, "loss": {"name": loss}}
    made = build_method(config.resolve(chosen, "sentences"), DATA, np.random.default_rng(0))
    return made, Batch(made.load(DATA.train, CPU), None, np.arange(24))


@pytest.mark.parametrize("head", [True, False])
def test_simcse_compares_two_passes_of_each_text(head):
    method, batch = method_for("simcse", head=head)
    before = method.random_state()
    step = method.step(batch, np.random.default_rng(0))
    method.set_random_state(before)
    passes = [method.encoder(*batch.inputs).pooled.data for _ in range(2)]
    if head:
        passes = [np.tanh(x @ method.head.weight.data + method.head.bias.data) for x in passes]
    assert np.abs(passes[0] - passes[1]).max() > 0.01
    settings = config.resolve({"loss": {"name": "infonce"}}, "sentences")["loss"]
    expected = infonce(*passes, temperature=settings["temperature"])
    assert float(step.total.data) == pytest.approx(float(expected.data), rel=1e-5)


def test_the_head_is_for_training_alone():
    method, batch = method_for("simcse")
    method.eval()
    rows = method.encoder(*batch.inputs).pooled.data
    method.head.weight.data += 1
    np.testing.assert_array_equal(method.encoder(*batch.inputs).pooled.data, rows)


@pytest.mark.parametrize("name, loss", [("simcse", "infonce"), ("unsee", "vicreg")])
def test_without_dropout_there_are_no_two_views(name, loss):
    with pytest.raises(ValueError, match=f"method {name}: .* the encoder has none, expected --set encoder.dropout=0.1"):
        method_for(name, loss, encoder={"dropout": 0.0})


def test_unsee_predicts_the_other_pass_of_the_target():
    method, batch = method_for("unsee", "vicreg", stacked=2, hidden=12)
    method.teacher_encoder.words.weight.data += 0.1  # no longer the student
    before = method.random_state()
    step = method.step(batch, np.random.default_rng(0))
    step.total.backward()
    assert all(p.grad is None for p in method.teacher_encoder.parameters())
    assert all(p.grad is not None for p in (*method.encoder.parameters(), *method.predictor.parameters()))
    method.set_random_state(before)
    p1, p2 = (method.predictor(method.encoder(*batch.inputs).pooled).data for _ in range(2))
    q1, q2 = (method.teacher_encoder(*batch.inputs).pooled.data for _ in range(2))
    assert np.abs(q1 - q2).max() > 0.01
    expected = vicreg(p1, q2).data + vicreg(p2, q1).data
    assert float(step.total.data) == pytest.approx(float(expected), rel=1e-5)
    assert float(step.total.terms["invariance"]) < float(step.total.data)


@pytest.mark.parametrize("momentum", [0.0, 0.7, 1.0])
def test_the_target_moves_by_a_constant_momentum(momentum):
    method, _ = method_for("unsee", "barlow_twins", momentum=momentum)
    old = method.teacher_encoder.state_dict()
    for parameter in method.encoder.parameters():
        parameter.data += 1
    for step, total in ((1, 100), (100, 100)):
        method.after_step(step, total)
        for name, before in old.items():
            expected = momentum * before + (1 - momentum) * method.encoder.state_dict()[name]
            np.testing.assert_allclose(method.teacher_encoder.state_dict()[name], expected, rtol=1e-5, atol=1e-6)
        old = method.teacher_encoder.state_dict()


def test_moving_statistics_of_both_sides_move_with_each_comparison(monkeypatch):
    method, batch = method_for("unsee", "corinfomax")
    seen, forward = [], method.objective.forward

    def recorded(a, b, **given):
        seen.append({"x": a.data, "y": b, **given})
        return forward(a, b, **given)

    monkeypatch.setattr(method.objective, "forward", recorded)
    method.step(batch, np.random.default_rng(0))
    first, second = seen
    assert (first["covariance_a"] == np.eye(8)).all() and not first["mean_b"].any()
    for side, rows in (("a", first["x"]), ("b", first["y"])):
        mean, covariance = updated_statistics(rows, np.eye(8), np.zeros(8))
        np.testing.assert_allclose(second[f"mean_{side}"], mean, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(second[f"covariance_{side}"], covariance, rtol=1e-5, atol=1e-7)


@pytest.mark.crosscheck
def test_supervised_form_equals_the_official_code():
    """The lines of princeton-nlp/SimCSE, simcse/models.py, for pairs with a hard negative each (weight 0)."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    arrays = rng.standard_normal((3, 7, 5))
    z1, z2, z3 = (torch.tensor(x, requires_grad=True) for x in arrays)
    cosine = torch.nn.CosineSimilarity(dim=-1)
    scores = [cosine(z1.unsqueeze(1), z.unsqueeze(0)) / 0.05 for z in (z2, z3)]
    theirs = torch.nn.functional.cross_entropy(torch.cat(scores, 1), torch.arange(7))
    theirs.backward()
    settings = {"hard_negatives": arrays[2], "temperature": 0.05, "symmetric": False}
    value, gradients = infonce.value_and_grad(arrays[0], arrays[1], **settings)
    assert float(value) == pytest.approx(theirs.item(), rel=1e-12)
    for name, z in (("a", z1), ("b", z2), ("hard_negatives", z3)):
        np.testing.assert_allclose(gradients[name], z.grad.numpy(), atol=1e-12)
