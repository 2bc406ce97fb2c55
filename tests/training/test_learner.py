"""An encoder trained by ``fit``, and a trained run, where scikit-learn takes a transformer."""

import numpy as np
import pytest

from mini_repr import RepresentationLearner
from mini_repr.backend import CPU
from mini_repr.data import load
from mini_repr.training.loaded import TrainedRun
from mini_repr.training.run import Run
from mini_repr.training.session import prepare

DIGITS = load("digits")
X, Y = DIGITS.test.images[:120], DIGITS.test.labels[:120]
SMALL = {"encoder": "mlp", "epochs": 1, "batch_size": 32, "settings": {"encoder": {"width": 16}}}


@pytest.fixture(scope="module")
def fitted():
    return RepresentationLearner("infonce", **SMALL).fit(X)


def test_it_learns_what_a_run_learns(fitted):
    chosen = {"encoder": {"name": "mlp", "width": 16}, "train": {"epochs": 1, "batch_size": 32, "seed": 0}}
    run = Run(*prepare({**chosen, "loss": {"name": "infonce"}}, fitted.run_.data), CPU)
    run.train_epoch()
    rows = fitted.transform(X)
    np.testing.assert_array_equal(rows, TrainedRun(run, run.data, None).embed(X))
    assert rows.shape == (120, 16) and rows.dtype == np.float32
    np.testing.assert_array_equal(RepresentationLearner("infonce", **SMALL).fit_transform(X, Y), rows)
    assert not np.allclose(RepresentationLearner("infonce", seed=1, **SMALL).fit_transform(X), rows)


def test_a_loss_of_labels_takes_classes_of_any_name():
    named = RepresentationLearner("supcon", **SMALL).fit(X, [f"digit {k}" for k in Y])
    assert named.run_.data.train.label_names[3] == "digit 3"
    np.testing.assert_array_equal(named.transform(X), RepresentationLearner("supcon", **SMALL).fit(X, Y).transform(X))
    with pytest.raises(ValueError, match="loss supcon needs labels, and the data has none"):
        RepresentationLearner("supcon", **SMALL).fit(X, Y / 2)  # a target of a regression


def test_texts():
    texts = ["a red ball", "a blue ball", "one tall tree", "two tall trees"]
    settings = {"encoder": {"width": 8, "dropout": 0.1}}
    learner = RepresentationLearner("simcse", epochs=1, batch_size=4, settings=settings)
    assert learner.fit(texts).transform(texts[:3]).shape == (3, 8)


@pytest.mark.parametrize(
    ("settings", "samples", "message"),
    [
        ({}, X[:9], "train.batch_size: got 32, expected at most the 9 training rows of samples"),
        ({}, X.reshape(120, -1), r"images of shape \(120, 64\) float32, expected \(N, 1 or 3, H, W\)"),
        ({}, "text", r"fit: samples: got str, expected images \(N, C, H, W\)"),
        ({"loss": "infonse"}, X, "did you mean 'infonce'"),
        ({"settings": {"lr": 1}}, X, "setting 'lr': no such section"),
    ],
)
def test_what_cannot_be_trained_is_one_clear_error(settings, samples, message):
    with pytest.raises(ValueError, match=message):
        RepresentationLearner(**SMALL).set_params(**settings).fit(samples)


def test_before_fit_there_are_no_rows(fitted):
    with pytest.raises(ValueError, match="RepresentationLearner: got samples before fit"):
        RepresentationLearner().transform(X)
    with pytest.raises(ValueError, match="samples: got none"):
        fitted.transform(X[:0])
    with pytest.raises(ValueError, match=r"got list, expected images \(N, C, H, W\)"):
        fitted.transform(["a text"])


def test_scikit_learn_clones_searches_and_pipes_a_learner():
    base = pytest.importorskip("sklearn.base")
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    learner = RepresentationLearner(**SMALL)
    assert base.clone(learner).get_params() == learner.get_params()
    piped = make_pipeline(learner, RidgeClassifier())
    search = GridSearchCV(piped, {"representationlearner__lr": [0.001, 0.01]}, cv=2).fit(X, Y)
    best = search.best_estimator_[0]
    assert best.run_.settings["optimizer"]["lr"] == search.best_params_["representationlearner__lr"]
    assert not hasattr(learner, "run_")


def test_scikit_learn_takes_a_trained_run_as_it_is(fitted):
    base = pytest.importorskip("sklearn.base")
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline

    run, rows = fitted.run_, fitted.transform(X)
    assert base.clone(run) is run and run.fit(X, Y) is run and run.get_params() == {}
    np.testing.assert_array_equal(run.fit_transform(X), rows)
    with pytest.raises(ValueError, match=r"tower: no such setting$"):
        run.set_params(tower="a")
    piped = make_pipeline(run, RidgeClassifier())
    np.testing.assert_array_equal(piped.fit(X, Y).predict(X), RidgeClassifier().fit(rows, Y).predict(rows))
    np.testing.assert_allclose(
        cross_val_score(piped, X, Y, cv=3), cross_val_score(RidgeClassifier(), rows, Y, cv=3), rtol=0, atol=0
    )
    assert "trainedrun" in piped.get_params() and "run of infonce on samples" in repr(piped)
