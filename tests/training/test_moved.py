"""Runs of earlier versions: settings and arrays load under today's names; a user is told where a setting went."""

import json
import shutil

import numpy as np
import pytest

from mini_repr.training import checkpoint, config, session
from mini_repr.training.moved import ARRAYS, from_older_run

MLP = {"name": "mlp", "width": 16, "hidden": 16, "depth": 2}
HEADS = {"hidden": 24, "dimensions": 8, "layers": 3, "batch_norm": True, "predictor_hidden": 12}


def older(settings, method):
    """config.json as it was when heads stood in every method's section and pipelines shared a method."""
    heads = {name: value for name, value in settings.pop("heads").items() if name in HEADS}
    settings["method"] |= heads or {name: HEADS[name] for name in HEADS if method == "supervised"}
    settings["method"] |= {"name": method} | ({"relu": False} if method == "supervised" else {})
    return settings


@pytest.mark.parametrize(
    "loss, method, today, heads",
    [
        ("infonce", "siamese", "simclr", HEADS),
        ("tico", "siamese", "simclr", HEADS),
        ("negative_cosine", "siamese", "simsiam", HEADS),
        ("supcon", "supervised", "metric_learning", HEADS),
        ("cross_entropy", "supervised", "classifier", {}),
        ("moco_dual", "momentum", "momentum", HEADS),
    ],
)
def test_a_run_of_an_earlier_version_resumes_to_the_bit(tmp_path, loss, method, today, heads):
    chosen = {"loss": {"name": loss}, "encoder": MLP, "heads": heads, "train": {"epochs": 2, "batch_size": 256}}
    run, home = session.start(chosen, tmp_path / "run")
    epochs = session.remaining_epochs(run, home)
    next(epochs)
    old = shutil.copytree(home.path, tmp_path / "old")
    next(epochs)
    settings = json.loads((old / "config.json").read_text())
    (old / "config.json").write_text(json.dumps(older(settings, method)))
    arrays, meta = checkpoint.load(old / "checkpoint.npz")
    for before, now in ARRAYS.items():
        arrays = {name.replace(now, before): array for name, array in arrays.items()}
    checkpoint.save(old / "checkpoint.npz", arrays, meta)

    resumed, home = session.resume(old, {"method": {"name": method}})
    assert resumed.settings["method"]["name"] == today and json.dumps(resumed.settings) == json.dumps(run.settings)
    for _ in session.remaining_epochs(resumed, home):
        pass
    for name, array in run.method.state_dict().items():
        np.testing.assert_array_equal(resumed.method.state_dict()[name], array, err_msg=name)
    assert session.compare(*session.opened(old)).keys() == {"trained", "untrained", "raw input"}


def test_a_run_keeps_the_split_that_it_was_trained_on(tmp_path):
    """Labels that recur every fifth row, so that the two ways to split share few rows."""
    rng = np.random.default_rng(0)
    file = tmp_path / "own.npz"
    np.savez(file, images=rng.integers(256, size=(60, 8, 8), dtype=np.uint8), labels=np.arange(60) // 2 % 5)
    chosen = {"data": {"name": str(file)}, "encoder": MLP, "train": {"epochs": 1, "batch_size": 16}}
    run, home = session.start(chosen, tmp_path / "run")
    for _ in session.remaining_epochs(run, home):
        pass
    home.close()
    settings = json.loads((home / "config.json").read_text())
    assert settings["data"] == {"name": str(file), "white": None, "split": "classes"}
    assert sorted(session.stored_settings(home)[1].test.labels) == sorted(run.data.test.labels)

    del settings["data"]["split"]
    (home / "config.json").write_text(json.dumps(settings))
    older_settings, data = session.stored_settings(home)
    assert older_settings["data"]["split"] == "rows"
    np.testing.assert_array_equal(data.test.labels, (np.arange(60) // 2 % 5)[::5])


def test_the_hidden_width_of_continual_was_that_of_its_predictor_too():
    settings = from_older_run({"method": {"name": "continual", "hidden": 32}, "loss": {}}, "continual")
    assert settings == {"method": {"name": "continual"}, "loss": {}, "heads": {"hidden": 32, "predictor_hidden": 32}}
    assert from_older_run(settings, "continual") == settings


@pytest.mark.parametrize(
    "chosen, says",
    [
        ({"method": {"hidden": 64}}, "setting method.hidden: is heads.hidden now, expected --set heads.hidden=64"),
        ({"method": {"batch_norms": True}}, "setting method.batch_norms: no such setting of method simclr"),
        ({"heads": {"hiden": 64}}, "setting heads.hiden: no such setting of heads; did you mean 'hidden'?"),
        (
            {"loss": {"name": "cross_entropy"}, "heads": {"hidden": 64}},
            "setting heads.hidden: method classifier has no heads",
        ),
    ],
)
def test_a_moved_or_unknown_setting_is_one_line(chosen, says):
    with pytest.raises(config.ConfigError) as refused:
        config.resolve(chosen)
    assert str(refused.value).startswith(says)


def test_a_decoder_is_no_head():
    settings = config.resolve({"loss": {"name": "ms_ssim"}, "method": {"hidden": 32}})
    assert settings["method"]["hidden"] == 32 and settings["heads"] == {}


def test_values_are_checked_by_the_heads():
    with pytest.raises(ValueError, match=r"setting heads\.hidden: got 0, expected a whole number from 1"):
        session.start({"heads": {"hidden": 0}}, "nowhere")
