"""Where stand-ins are kept: made once, loaded to the bit, another recipe another file, and what a disk refuses."""

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.cli import main
from mini_repr.nn import Linear
from mini_repr.standins import store


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A stand-in that trains at once; [how often it did]."""
    trained = []

    def train(module, seed, watch):
        trained.append(seed)
        module.weight.data += 1 + seed
        if watch:
            watch(10, 10, 0.5)

    made = store.Standin(
        "nothing at all",
        lambda seed: Linear(2, 3, np.random.default_rng(seed)),
        train,
        lambda module, get: {"size": (float(module.weight.data.mean()), 0.5), "told": (0.1, None)},
        seconds=1,
        settings={"width": 2},
    )
    monkeypatch.setattr(store, "STANDINS", {"small": made})
    monkeypatch.setattr(store, "_loaded", {})
    monkeypatch.setenv(store.FOLDER, str(tmp_path / "kept"))
    return trained


def test_it_is_trained_once_and_loaded_to_the_bit(small, monkeypatch):
    said = []
    first = store.get("small", tell=said.append)
    monkeypatch.setattr(store, "_loaded", {})
    again = store.get("small", tell=said.append)
    assert small == [0] and len(said) == 1 and "about 1 s on one core" in said[0]
    np.testing.assert_array_equal(first.weight.data, again.weight.data)
    assert not again.training and not any(p.requires_grad for p in again.parameters())
    assert store.get("small") is again


def test_another_seed_or_recipe_is_another_file(small, monkeypatch):
    places = {store.place_of("small"), store.place_of("small", 1)}
    monkeypatch.setattr(store, "STANDINS", {"small": store.STANDINS["small"]._replace(settings={"width": 3})})
    assert len(places | {store.place_of("small")}) == 3
    monkeypatch.setattr(store, "FORMAT", store.FORMAT + 1)
    assert store.place_of("small") not in places


def test_a_folder_that_cannot_be_written_leaves_it_in_memory(small, tmp_path):
    (tmp_path / "file").write_text("")
    said = []
    module = store.get("small", within=tmp_path / "file" / "folder", tell=said.append)
    assert module.weight.data.shape == (2, 3) and "not kept" in said[1]


def test_a_damaged_file_is_no_standin(small, monkeypatch):
    store.get("small", tell=lambda text: None)
    path = store.place_of("small")
    path.write_bytes(path.read_bytes()[:-5])
    monkeypatch.setattr(store, "_loaded", {})
    with pytest.raises(ValueError, match=str(path)):
        store.get("small")


def test_the_commands_train_and_list(small):
    before = CliRunner().invoke(main, ["standin", "list"])
    assert before.exit_code == 0 and "small: nothing at all" in before.output and "not trained yet" in before.output
    result = CliRunner().invoke(main, ["standin", "train", "small"])
    assert result.exit_code == 0, result.output
    assert "enough: at least 0.5" in result.stdout and "told" in result.stdout and "step 10/10" in result.stderr
    assert "kept, " in CliRunner().invoke(main, ["standin", "list"]).output
    wrong = CliRunner().invoke(main, ["standin", "train", "smal"])
    assert wrong.exit_code == 2 and "did you mean 'small'?" in wrong.output
