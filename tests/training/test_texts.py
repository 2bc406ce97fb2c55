"""Whole runs on texts: one by one, and pairs with graded similarities; resumed, evaluated, embedded, in chunks."""

import numpy as np
import pytest
from click.testing import CliRunner
from device_double import DOUBLE

from mini_repr.backend import CPU
from mini_repr.cli import main
from mini_repr.pages.registry import all_losses
from mini_repr.training import session
from mini_repr.training.run import Run

TRANSFORMER = {"name": "text_transformer", "width": 8, "depth": 2, "heads": 2, "buckets": 32, "dropout": 0.2}
RUNS = {
    "simcse": {"loss": {"name": "infonce"}, "encoder": TRANSFORMER},
    "unsee": {"loss": {"name": "corinfomax"}, "method": {"name": "unsee"}, "encoder": TRANSFORMER},
    "mlm": {"loss": {"name": "cross_entropy"}, "encoder": TRANSFORMER},
    "mae_lm": {"loss": {"name": "cross_entropy"}, "method": {"style": "mae_lm"}, "encoder": TRANSFORMER},
    "dropping": {"loss": {"name": "cross_entropy"}, "method": {"keep": 3}, "encoder": {**TRANSFORMER, "depth": 4}},
    "electra": {"loss": {"name": "replaced_tokens"}, "method": {"ratio": 0.4}, "encoder": TRANSFORMER},
    "exlm": {"loss": {"name": "dag_likelihood"}, "method": {"copies": 2, "ratio": 0.4}, "encoder": TRANSFORMER},
    "topics": {
        "loss": {"name": "topic_elbo"},
        "method": {"topics": 3, "set_size": 2, "least_documents": 2, "most_frequent": 0},
        "encoder": {"name": "text", "width": 8, "hidden": 8, "buckets": 32},
    },
    "mined": {
        "loss": {"name": "infonce"},
        "method": {"name": "mined_negatives", "negatives": 2, "skip": 1, "every": 3},
        "encoder": {"name": "text", "width": 8, "hidden": 8, "buckets": 32},
    },
    "two tasks": {
        "loss": {"name": "infonce"},
        "method": {"name": "two_tasks"},
        "encoder": {"name": "text", "width": 8, "hidden": 8, "buckets": 32},
    },
    "graded": {"loss": {"name": "cosent"}, "encoder": {"name": "text", "width": 8, "hidden": 8, "buckets": 32}},
}


@pytest.fixture
def files(tmp_path):
    """Files of sentences, of graded pairs and of plain ones."""
    texts = [f"a{i % 3} w{i} b{i % 4} v{i * i % 7} c{i % 5}" + " d" * (i % 3) for i in range(50)]
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    pairs = [f"{texts[i]},{texts[-1 - i]},{i % 5}" for i in range(50)]
    (tmp_path / "pairs.csv").write_text("\n".join(["sentence1,sentence2,score", *pairs]))
    both = [*pairs[:25], *(f"{texts[i]},{texts[-1 - i]}," for i in range(25))]
    (tmp_path / "both.csv").write_text("\n".join(["sentence1,sentence2,score", *both]))
    (tmp_path / "pairs.tsv").write_text("\n".join(f"{texts[i]}\t{texts[-1 - i]}" for i in range(50)))
    return tmp_path


def chosen(name, files, **train):
    data = files / {"graded": "pairs.csv", "mined": "pairs.tsv", "two tasks": "both.csv"}.get(name, "texts.txt")
    return {**RUNS[name], "data": {"name": str(data)}, "train": {"batch_size": 20, "epochs": 2, **train}}


def finished(run, home):
    for _ in session.remaining_epochs(run, home):
        pass
    home.close()
    return run.method.state_dict()


@pytest.mark.parametrize("name", RUNS)
def test_a_resumed_run_ends_with_the_same_bits(name, files):
    whole = finished(*session.start(chosen(name, files), files / "whole"))
    run, home = session.start(chosen(name, files), files / "broken")
    next(session.remaining_epochs(run, home))
    home.close()
    again = finished(*session.resume(files / "broken", {}))
    assert whole.keys() == again.keys()
    for key, value in whole.items():
        np.testing.assert_array_equal(again[key], value, err_msg=key)


@pytest.mark.parametrize("name", RUNS)
def test_what_it_learnt_is_measured_and_embedded(name, files):
    finished(*session.start(chosen(name, files), files / "run"))
    of_texts, of_pairs = (
        session.compare(*session.opened(files / "run", str(files / f))) for f in ("texts.txt", "pairs.csv")
    )
    assert {"effective_rank", "uniformity"} <= of_texts["trained"].keys()
    assert -1 <= of_pairs["trained"]["rank_agreement"] <= 1 and of_pairs.keys() == of_texts.keys()
    shapes = session.embed(files / "run", str(files / "texts.txt"), files / "z.npz")
    assert shapes == {"z": (50, 8)}
    assert session.embed(files / "run", str(files / "pairs.csv"), files / "ab.npz").keys() == {"a", "b"}
    layers = session.evaluate_layers(*session.opened(files / "run", str(files / "texts.txt")))
    assert len(layers) >= 2 and "alignment" not in layers["layer 1"] and "effective_rank" in layers["layer 1"]


def first_step(name, files, backend, loss=None, **train):
    sections = chosen(name, files, **train)
    settings, data = session.prepare({**sections, "loss": {"name": loss or sections["loss"]["name"]}})
    run = Run(settings, data, backend)
    terms, norm, _ = run.train_step(np.arange(20))
    gradients = {n: backend.to_numpy(p.grad) for n, p in run.method.named_parameters().items() if p.grad is not None}
    return terms, norm, gradients


@pytest.mark.parametrize("name", RUNS)
def test_a_step_on_a_device_is_that_on_the_host(name, files):
    here, there = (first_step(name, files, backend) for backend in (CPU, DOUBLE))
    assert there[0].keys() == here[0].keys() and there[1] == pytest.approx(here[1], rel=1e-3)
    for term, value in here[0].items():
        assert there[0][term] == pytest.approx(value, rel=1e-4, abs=1e-6), term
    rounding = np.finfo(np.float32).eps * here[1]  # all that a gradient of 0 consists of, as a bias under a batch norm
    for key, gradient in here[2].items():
        atol = max(1e-6, 1e-3 * np.abs(gradient).max(), rounding)
        np.testing.assert_allclose(there[2][key], gradient, atol=atol, err_msg=key)


@pytest.mark.parametrize("name", ["mlm", "mae_lm", "exlm", "graded"])
def test_chunks_give_the_gradient_of_the_whole_batch(name, files, monkeypatch):
    monkeypatch.setitem(TRANSFORMER, "dropout", 0.0)  # it is drawn chunk by chunk
    whole, chunked = (first_step(name, files, CPU, grad_cache=chunk) for chunk in (0, 10))
    assert chunked[0]["loss"] == pytest.approx(whole[0]["loss"], rel=1e-5)
    for key, gradient in whole[2].items():
        np.testing.assert_allclose(chunked[2][key], gradient, atol=1e-4 * max(1e-3, np.abs(gradient).max()))


def test_topics_have_words(files):
    finished(*session.start(chosen("topics", files), files / "run"))
    run, data = session.opened(files / "run")
    found = session.topics_of(run, data, 4)
    assert [len(set(words)) for words in found["topics"]] == [4] * 3
    assert {word for words in found["topics"] for word in words} <= set(run.method.vocabulary)
    assert -1 <= found["coherence"] <= 1 and 1 / 3 <= found["diversity"] <= 1
    printed = CliRunner().invoke(main, ["eval", str(files / "run"), "--topics", "4"])
    assert printed.output.startswith(f"topic 1: {' '.join(found['topics'][0])}\n") and "coherence" in printed.output
    with pytest.raises(ValueError, match="--topics: got 1, expected 2 to"):
        session.topics_of(run, data, 1)
    finished(*session.start(chosen("simcse", files), files / "other"))
    with pytest.raises(ValueError, match="--topics: a run of method simcse has no topics, expected one of topic_model"):
        session.topics_of(*session.opened(files / "other"), 4)


OF_TEXTS = [name for name, loss in all_losses().items() if {"similarity", "replaced", "links"} & set(loss.required)]


@pytest.mark.parametrize("loss", OF_TEXTS)
def test_every_loss_of_texts_trains(loss, files):
    required = all_losses()[loss].required
    run = "electra" if "replaced" in required else "exlm" if "links" in required else "graded"
    terms, norm, gradients = first_step(run, files, CPU, loss)
    assert terms[loss] > 0 and norm > 0 and any(name.startswith("encoder.") for name in gradients)
