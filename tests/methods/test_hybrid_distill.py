"""Hybrid Distill: what the student is given, what it is compared with, and which teachers it takes."""

import numpy as np
import pytest

from mini_repr.autograd import no_grad
from mini_repr.data import load
from mini_repr.methods import Batch, build_encoder, build_method
from mini_repr.training import config, session

DATA = load("digits")
IMAGES = DATA.train.images[:12]
SMALL = {"name": "vit", "width": 16, "depth": 3, "heads": 2, "patch": 2}


def teacher_of(path):
    """An untrained ViT; its path names its seed and, of the wrong one, its width."""
    encoder = {**SMALL, "width": 8} if path == "wrong" else SMALL
    seed = {"relations": 1, "features": 2}.get(path, 3)
    return build_encoder(config.resolve({"encoder": encoder}), DATA, np.random.default_rng(seed))


def method_for(encoder=SMALL, **own):
    own = {"relations_of": "relations", "features_of": "features", **own}
    chosen = {"loss": {"name": "token_relations"}, "method": {"views": "", **own}, "encoder": encoder}
    return build_method(config.resolve(chosen), DATA, np.random.default_rng(0), teacher_of)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def relations(encoder, images, visible):
    """[(B, heads, N, N) of queries with keys, of values with values], in the last block but one."""
    with no_grad():
        (projected,) = encoder(images, visible=visible, project=(2,)).projections
    q, k, v = (x.data.reshape(*x.shape[:2], 2, 8).transpose(0, 2, 1, 3) for x in projected)
    return [softmax(a @ b.swapaxes(-1, -2) / np.sqrt(8)) for a, b in ((q, k), (v, v))]


@pytest.mark.parametrize("progress", [0.0, 0.9])
def test_a_step_compares_relations_and_features_of_the_tokens_that_are_left(progress):
    method = method_for(relations=0.5, features=2.0)
    method.progress[:] = progress
    step = method.step(Batch((IMAGES,), None, np.arange(12)), np.random.default_rng(0))
    _, visible, _ = method.sample(IMAGES, np.random.default_rng(0))
    assert visible.shape == (12, 16 - int(0.3 * progress * 16))
    student = relations(method.encoder, IMAGES, visible)
    rows = np.arange(12)[:, None]
    teacher = []
    for whole in relations(method.fixed_relations, IMAGES, np.tile(np.arange(16), (12, 1))):
        left = whole[rows[..., None], :, visible[:, :, None], visible[:, None, :]].transpose(0, 3, 1, 2)
        teacher.append(left / left.sum(axis=-1, keepdims=True))
    both = [(t * np.log(t / s)).sum(axis=-1).mean() for t, s in zip(teacher, student, strict=True)]
    with no_grad():
        tokens = method.encoder(IMAGES, visible=visible).tokens.data
        features = method.fixed_features(IMAGES).tokens.data[rows, visible]
    features = features - features.mean(axis=-1, keepdims=True)
    features /= np.sqrt((features**2).mean(axis=-1, keepdims=True) + 1e-6)
    apart = np.abs(tokens - features)
    distance = np.where(apart < 1, apart**2 / 2, apart - 0.5).mean()
    np.testing.assert_allclose(step.total.data, 0.5 * np.mean(both) + 2 * distance, rtol=1e-4)
    step.total.backward()
    trained = {name for name, p in method.named_parameters().items() if p.grad is not None}
    assert trained and all(name.startswith("encoder.") for name in trained)
    assert set(method.trained_parameters()) == {n for n in method.named_parameters() if n.startswith("encoder.")}


def test_a_student_that_is_the_teacher_has_no_relations_to_learn():
    method = method_for()
    method.encoder.load_state_dict(method.fixed_relations.state_dict())
    step = method.step(Batch((IMAGES,), None, np.arange(12)), np.random.default_rng(0))
    assert float(step.total.terms["token_relations"]) == pytest.approx(0, abs=1e-6)


def test_runs_teach_runs(tmp_path):
    common = {"encoder": SMALL, "train": {"epochs": 1, "batch_size": 256}}
    for name, loss in (("masked", "masked_regression"), ("classes", "cross_entropy")):
        run, home = session.start({"loss": {"name": loss}, **common}, out=tmp_path / name)
        run.train_epoch()
        run.save(home)
        home.close()
    teachers = {"relations_of": str(tmp_path / "masked"), "features_of": str(tmp_path / "classes")}
    chosen = {"loss": {"name": "token_relations"}, "method": teachers, **common}
    student, home = session.start(chosen, out=tmp_path / "student")
    np.testing.assert_array_equal(student.method.fixed_features.embed.weight.data, run.method.encoder.embed.weight.data)
    student.train_epoch()
    student.save(home)
    home.close()
    again, _ = session.opened(tmp_path / "student")
    np.testing.assert_array_equal(again.method.encoder.embed.weight.data, student.method.encoder.embed.weight.data)


def test_teachers_that_do_not_fit_are_refused():
    with pytest.raises(
        ValueError, match="hybrid_distill: features_of: got none, expected the folder of a run, such as"
    ):
        method_for(features_of="")
    with pytest.raises(ValueError, match=r"relations_of: wrong has a ViT of 1 x 8 x 8, patch 2, width 8, .* width 16"):
        method_for(relations_of="wrong")
    with pytest.raises(ValueError, match="got an encoder mlp, expected --encoder vit"):
        method_for(encoder={"name": "mlp"})
    with pytest.raises(ValueError, match="method hybrid_distill: cannot train infonce"):
        config.resolve({"loss": {"name": "infonce"}, "method": {"name": "hybrid_distill"}})
