"""Each method's step against the same forward pass written out by hand, with the same views."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor, no_grad
from mini_repr.backend import CPU
from mini_repr.data import load, parse_views
from mini_repr.masking import random_mask
from mini_repr.methods import Batch, build_encoder, build_method, encode
from mini_repr.methods.build import find_method
from mini_repr.methods.objective import Objective
from mini_repr.nn import patchify
from mini_repr.pages.registry import all_losses
from mini_repr.training import config

LOSSES = all_losses()
VIEWS = "shift=1,noise=0.1"
DATA = load("digits")
IMAGES, LABELS, INDEX = DATA.train.images[:12], DATA.train.labels[:12], np.arange(12)


def method_for(name, /, **sections):
    small = {"name": "vit", "width": 16, "depth": 1, "heads": 2, "patch": 4}
    chosen = config.merge({"loss": {"name": name}, "encoder": small, "method": {"views": VIEWS}}, sections)
    return build_method(config.resolve(chosen), DATA, np.random.default_rng(0))


def step_and_views(method, labels=LABELS):
    """(the step, the two views that it saw)."""
    step = method.step(Batch((IMAGES,), labels, INDEX), np.random.default_rng(1))
    rng, views = np.random.default_rng(1), parse_views(VIEWS)
    return step, views(IMAGES, rng), views(IMAGES, rng)


def test_simclr_pairs():
    method = method_for("infonce")
    step, first, second = step_and_views(method)
    za, zb = (method.projector(method.encoder(x).pooled) for x in (first, second))
    expected = LOSSES["infonce"](za, zb, temperature=method.objective.settings["temperature"])
    np.testing.assert_allclose(step.total.data, expected.data, rtol=1e-5)
    np.testing.assert_allclose(step.embeddings, za.data, rtol=1e-4, atol=1e-5)


def test_simsiam_predicts_the_other_view():
    method = method_for("negative_cosine")
    step, first, second = step_and_views(method)
    za, zb = (method.projector(method.encoder(x).pooled) for x in (first, second))
    expected = LOSSES["negative_cosine"](method.predictor(za), method.predictor(zb), za.data, zb.data)
    np.testing.assert_allclose(step.total.data, expected.data, rtol=1e-4)
    step.total.backward()
    assert all(p.grad is not None for n, p in method.named_parameters().items() if n.startswith("predictor"))


def test_another_method_starts_from_the_encoder_and_so_does_its_teacher():
    source, method = method_for("infonce"), method_for("negative_cosine", method={"name": "momentum"})
    for parameter in source.parameters():
        parameter.data += 0.05
    before = {name: array.copy() for name, array in method.state_dict().items()}
    assert method.start_from(source.state_dict()) == "encoder"
    theirs, ours = source.state_dict(), method.state_dict()
    for name in ours:
        encoder = name.removeprefix("teacher_")
        expected = theirs[encoder] if encoder.startswith("encoder.") else before[name]
        np.testing.assert_array_equal(ours[name], expected, err_msg=name)
    assert method_for("infonce").start_from(theirs) == "weights"


def test_byol_targets_come_from_the_teacher():
    method = method_for("negative_cosine", method={"name": "momentum"})
    for parameter in method.teacher_encoder.parameters():
        parameter.data += 0.05
    step, first, second = step_and_views(method)
    za, zb = (method.projector(method.encoder(x).pooled) for x in (first, second))
    ka, kb = (method.teacher_projector(method.teacher_encoder(x).pooled) for x in (first, second))
    expected = LOSSES["negative_cosine"](method.predictor(za), method.predictor(zb), ka.data, kb.data)
    np.testing.assert_allclose(step.total.data, expected.data, rtol=1e-4)
    step.total.backward()
    assert all(p.grad is None for p in method.teacher_encoder.parameters())


def test_relu_compares_positive_parts():
    method = method_for("supcon", method={"relu": True})
    step, first, second = step_and_views(method)
    za, zb = (np.maximum(method.head(method.encoder(x).pooled).data, 0) for x in (first, second))
    settings = {"temperature": method.objective.settings["temperature"]}
    expected = LOSSES["supcon"](np.concatenate([za, zb]), np.concatenate([LABELS, LABELS]), **settings)
    np.testing.assert_allclose(step.total.data, expected.data, rtol=1e-4)
    with pytest.raises(ValueError, match=r"setting method\.relu: no such setting of method classifier"):
        method_for("harmonic", method={"relu": True})


def test_moco_queue_holds_the_last_keys():
    sections = {"method": {"name": "momentum", "queue_size": 20}, "loss": {"negatives": "queue", "symmetric": False}}
    method = method_for("infonce", **sections)
    before = method.loss_states[0].rows.copy()
    step, first, second = step_and_views(method)
    query = method.projector(method.encoder(first).pooled)
    key = method.teacher_projector(method.teacher_encoder(second).pooled).data
    settings = method.objective.settings
    expected = LOSSES["infonce"](query, key, queue=before, **settings)
    np.testing.assert_allclose(step.total.data, expected.data, rtol=1e-4)
    unit = key / np.linalg.norm(key, axis=1, keepdims=True)
    np.testing.assert_allclose(method.loss_states[0].rows[:12], unit, atol=1e-5)
    np.testing.assert_array_equal(method.loss_states[0].rows[12:], before[12:])
    method.step(Batch((IMAGES,), LABELS, INDEX), np.random.default_rng(2))
    assert int(method.loss_states[0].end) == 4  # 24 keys into 20 places: the oldest four are gone
    np.testing.assert_allclose(method.loss_states[0].rows[4:12], unit[4:12], atol=1e-6)


def test_teacher_follows_with_rising_momentum():
    method = method_for("infonce", method={"name": "momentum", "momentum": 0.5})
    student = method.encoder.named_parameters()
    name = next(n for n in student if n.endswith("gain"))
    student[name].data += 1.0
    before = method.teacher_encoder.named_parameters()[name].data.copy()
    method.after_step(0, 100)
    np.testing.assert_allclose(method.teacher_encoder.named_parameters()[name].data, before + 0.5, rtol=1e-6)
    method.after_step(100, 100)
    np.testing.assert_allclose(method.teacher_encoder.named_parameters()[name].data, before + 0.5, rtol=1e-6)


def test_metric_learning_compares_rows_of_two_views():
    method = method_for("supcon")
    step, first, second = step_and_views(method)
    z = method.head(method.encoder(np.concatenate([first, second])).pooled)
    expected = LOSSES["supcon"](z, np.concatenate([LABELS, LABELS]), **method.objective.settings)
    np.testing.assert_allclose(step.total.data, expected.data, rtol=1e-4)


def test_classifier_scores():
    method = method_for("cross_entropy")
    step, first, _ = step_and_views(method)
    expected = LOSSES["cross_entropy"](method.head(method.encoder(first).pooled), LABELS)
    np.testing.assert_allclose(step.total.data, expected.data, rtol=1e-5)


@pytest.mark.parametrize("style", ["mae", "simmim"])
def test_masked_prediction_knows_nothing_of_what_is_hidden(style):
    """Pixels under the mask change the target and nothing else: the prediction stays."""
    method = method_for("masked_regression", method={"style": style, "views": "shift=0"})
    rng = np.random.default_rng(1)
    parse_views("shift=0")(IMAGES, rng)
    mask = random_mask(rng, len(IMAGES), 4, method.ratio)
    seen = []
    method.objective.forward = lambda prediction, target, hidden, embeddings: seen.append((prediction, target, hidden))
    for images in (IMAGES, _with_noise_under(mask, IMAGES)):
        with pytest.raises(AttributeError):  # the recorder returns no tensor
            _ = method.step(Batch((images,), None, INDEX), np.random.default_rng(1)).total.data
    (one, target, hidden), (other, other_target, _) = seen
    np.testing.assert_array_equal(hidden, mask)
    np.testing.assert_array_equal(one.data, other.data)
    assert not np.array_equal(target, other_target)
    np.testing.assert_array_equal(target, patchify(IMAGES, 4))


def _with_noise_under(mask, images):
    rows = np.repeat(np.repeat(mask.reshape(-1, 1, 2, 2), 4, axis=2), 4, axis=3)
    noise = np.random.default_rng(5).random(images.shape).astype(np.float32)
    return np.where(rows, noise, images)


def test_mae_decoder_puts_every_token_in_its_place():
    """With an identity-like decoder of no blocks, a visible patch's output depends on that patch alone."""
    method = method_for("masked_regression", method={"decoder_depth": 0, "ratio": 0.5})
    mask = np.array([[True, False, True, False], [False, False, True, True]])
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((2, 2, 16)).astype(np.float32)
    out = method.head(Tensor(tokens), mask).data
    changed = tokens.copy()
    changed[0, 1] += 1  # image 0, second visible patch: number 3
    difference = np.abs(method.head(Tensor(changed), mask).data - out).max(axis=2) > 1e-6
    np.testing.assert_array_equal(difference, [[False, False, False, True], [False] * 4])
    gaps = method.head.pixels(method.head.norm(method.head.mask_token + method.head.positions)).data
    np.testing.assert_allclose(out[mask], np.broadcast_to(gaps, out.shape)[mask], rtol=1e-4, atol=1e-5)


def test_added_regularisers_weigh_each_view_alike():
    method = method_for("infonce", add={"uniformity": {"weight": 0.5}})
    step, first, second = step_and_views(method)
    za, zb = (method.projector(method.encoder(x).pooled) for x in (first, second))
    both = (LOSSES["uniformity"](za).data + LOSSES["uniformity"](zb).data) / 2
    np.testing.assert_allclose(step.total.terms["uniformity"], both, rtol=1e-4)
    np.testing.assert_allclose(step.total.data, step.total.terms["infonce"] + 0.5 * both, rtol=1e-4)


def test_objective_learns_what_the_page_marks_and_what_is_asked():
    siglip = Objective(LOSSES["siglip"], {})
    assert set(siglip.named_parameters()) == {"log_scale", "bias"}
    infonce = Objective(LOSSES["infonce"], {"temperature": 0.2}, learn=["temperature"])
    z = np.random.default_rng(0).standard_normal((2, 6, 4)).astype(np.float32)
    total = infonce(Tensor(z[0]), Tensor(z[1]))
    total.backward()
    _, expected = LOSSES["infonce"].value_and_grad(z[0], z[1], temperature=0.2)
    # Held as log t: d/d log t = t d/dt.
    np.testing.assert_allclose(infonce.temperature.grad, 0.2 * expected["temperature"], rtol=1e-4)


def default_method(loss, takes):
    """The method that trains a loss unless another is named, None where there is none."""
    try:
        return find_method(None, loss, takes)
    except ValueError:
        return None


def test_every_loss_has_a_method_and_others_refuse_it():
    for loss in LOSSES.values():
        # What guides a model while it draws, and a term of infoprompt's beside the loss that it trains.
        if loss.compares in ("maps", "towers") or loss.name == "prompt_information":
            continue
        found = [default_method(loss, takes) for takes in ("images", "texts", "sentences")]
        assert any(found) and all(method.fits(loss) for method in found if method), loss.name
    with pytest.raises(ValueError, match=r"masked: cannot train infonce \(folder pairs\).*momentum or .* or simclr"):
        method_for("infonce", method={"name": "masked"})
    with pytest.raises(ValueError, match="method masked: needs patches"):
        chosen = {"loss": {"name": "masked_regression"}, "encoder": {"name": "mlp"}, "method": {"views": VIEWS}}
        build_method(config.resolve(chosen), DATA, np.random.default_rng(0))


def test_untrained_twin_is_the_same_encoder():
    settings = config.resolve({"method": {"views": VIEWS}})
    method = build_method(settings, DATA, np.random.default_rng(3))
    twin = build_encoder(settings, DATA, np.random.default_rng(3))
    for name, parameter in method.encoder.named_parameters().items():
        np.testing.assert_array_equal(parameter.data, twin.named_parameters()[name].data)


def test_encode_is_evaluation_and_batches_do_not_show():
    method = method_for("infonce", encoder={"dropout": 0.5})
    whole = encode(method.encoder, IMAGES, CPU)
    np.testing.assert_allclose(encode(method.encoder, IMAGES, CPU, batch=5), whole, rtol=1e-5, atol=1e-6)
    assert method.encoder.training
    with no_grad():
        method.encoder.eval()
        np.testing.assert_allclose(method.encoder(IMAGES).pooled.data, whole, rtol=1e-6)
