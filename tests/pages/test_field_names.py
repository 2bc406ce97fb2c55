"""Names of the field: each stands for what exists and works wherever a loss is named; what is chosen beside it wins."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.cli import main
from mini_repr.conformance.cases import needs_of
from mini_repr.pages.field_names import FIELD_NAMES, meant
from mini_repr.pages.names import UnknownName, find_loss, folded
from mini_repr.pages.registry import all_losses, pages_of
from mini_repr.training import config


def run(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.mark.parametrize("name", FIELD_NAMES)
def test_it_stands_for_a_loss_a_variant_and_a_method_that_trains_it(name):
    one = FIELD_NAMES[name]
    loss = find_loss(one.loss)
    assert one.variant is None or one.variant in loss.variants
    takes = pages_of("method")[one.method].thing.takes if one.method else "images"
    settings = config.resolve({"loss": {"name": name}}, takes)
    assert settings["loss"]["name"] == one.loss and one.method in (None, settings["method"]["name"])
    variant = loss.variants[one.variant].settings if one.variant else {}
    assert all(settings["loss"][n] == value for n, value in variant.items())
    assert all(settings["method"][n] == value for n, value in one.settings.items())
    assert config.resolve(settings, takes) == settings


def test_no_name_is_that_of_a_loss_and_no_two_are_one():
    folds = [*map(folded, all_losses()), *map(folded, FIELD_NAMES)]
    assert len(set(folds)) == len(folds)


@pytest.mark.parametrize(
    "typed, loss",
    [("InfoNCE", "infonce"), ("SupConLoss", "supcon"), ("NTXentLoss", "infonce"), ("Barlow-Twins", "barlow_twins")],
)
def test_capitals_hyphens_and_loss_do_not_count(typed, loss):
    assert meant(typed).loss == loss


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'infonce'"):
        meant("infonze")
    for wrong in (None, 3):
        with pytest.raises(UnknownName):
            meant(wrong)


def test_what_is_chosen_beside_it_wins():
    chosen = {"loss": {"name": "moco", "temperature": 0.3}, "method": {"name": "simclr"}}
    settings = config.resolve({**chosen, "loss": {**chosen["loss"], "negatives": "batch"}})
    assert settings["loss"]["temperature"] == 0.3 and settings["method"]["name"] == "simclr"


def test_train_and_resume_know_it(tmp_path):
    small = ["--encoder", "linear", "--batch-size", 512, "--out", tmp_path / "run"]
    assert run("train", "--loss", "SimCLR", "--epochs", 1, *small).exit_code == 0
    settings = json.loads((tmp_path / "run" / "config.json").read_text())
    assert settings["loss"]["name"] == "infonce" and settings["loss"]["negatives"] == "views"
    assert run("train", "--resume", "--loss", "simclr", "--out", tmp_path / "run").exit_code == 0


def test_value_show_check_and_list_know_it(tmp_path):
    rows = np.random.default_rng(0).standard_normal((2, 5, 3))
    np.savez(tmp_path / "ab.npz", a=rows[0], b=rows[1])
    by_name, by_variant = (
        run("losses", "value", name, "--input", tmp_path / "ab.npz", *more)
        for name, more in (("simclr", ()), ("infonce", ("--variant", "nt_xent")))
    )
    assert by_name.exit_code == 0 and by_name.output == by_variant.output
    shown = run("show", "byol", "--no-code").output
    assert (
        shown.startswith("byol is negative_cosine --variant byol --method momentum") and "loss negative_cosine" in shown
    )
    assert "method simclr" in run("show", "simclr").output and "loss infonce" in run("show", "SimCLR").output
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def loss(a, b, temperature=0.1):\n"
        "    z = np.concatenate([a, b]); z = z / np.linalg.norm(z, axis=1, keepdims=True)\n"
        "    s = z @ z.T / temperature; np.fill_diagonal(s, -np.inf)\n"
        "    top = s.max(axis=1, keepdims=True)\n"
        "    log = np.log(np.exp(s - top).sum(axis=1)) + top[:, 0]\n"
        "    n = len(a); own = s[np.arange(2 * n), np.r_[n : 2 * n, :n]]\n"
        "    return (log - own).mean()\n"
    )
    result = run("check", f"{tmp_path / 'mine.py'}:loss", "--against", "simclr")
    assert "conforms to infonce(negatives='views')" in " ".join(result.output.split()), result.output
    assert "simclr" in run("list", "--names").output and "--loss infonce --variant nt_xent" in run("list").output


@pytest.mark.parametrize("spelt", ["nt_xent", "NT-Xent", "NTXentLoss"])
def test_variants_are_found_however_they_are_spelt(spelt, tmp_path):
    np.savez(tmp_path / "ab.npz", **dict(zip("ab", np.random.default_rng(0).standard_normal((2, 5, 3)), strict=True)))
    outputs = [
        run("losses", "value", "InfoNCE", "--variant", name, "--input", tmp_path / "ab.npz")
        for name in ("nt_xent", spelt)
    ]
    assert outputs[0].exit_code == 0 and outputs[0].output == outputs[1].output
    assert config.variant_settings({"loss": {"name": "infonce"}}, spelt) == {"negatives": "views"}
    assert needs_of(find_loss("infonce"), spelt) is None
    assert (
        CliRunner().invoke(main, ["check", "--against", "infonce", "--variant", spelt, "--ranks", "2"]).exit_code == 0
    )


def test_a_variant_of_one_loss_is_a_name_for_it():
    assert meant("SemiHard") == ("triplet", "semihard", None, {})
    settings = config.resolve({"loss": {"name": "semihard"}})
    assert settings["loss"]["name"] == "triplet" and settings["loss"]["mining"] == "semihard"
    assert run("show", "semihard").stdout.startswith("semihard is triplet --variant semihard\n\nloss triplet ")
    assert run("cite", "semihard").stdout == run("cite", "triplet").stdout
    assert meant("moco") == FIELD_NAMES["moco"], "what the field means comes first"


def test_a_variant_of_several_losses_asks_which():
    with pytest.raises(
        UnknownName, match="a variant of infonce, llave; expected one of these, such as infonce --varia"
    ):
        meant("one_direction")
    with pytest.raises(UnknownName, match=r"align, \.\.\.; expected"):
        meant("sum")
    shown = run("show", "one_direction").stdout
    assert shown.startswith("losses with a variant one_direction") and "\n  llave " in shown
