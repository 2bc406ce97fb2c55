"""The commands as a user types them, wrong flags included: one line and exit code 2, never a traceback."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.cli import main
from mini_repr.losses import all_losses

QUICK = ["--encoder", "mlp", "--set", "encoder.hidden=16", "--epochs", "1", "--batch-size", "256"]


@pytest.fixture
def run():
    runner = CliRunner()

    def invoke(*args):
        return runner.invoke(main, [str(a) for a in args])

    return invoke


@pytest.fixture
def arrays(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "arrays.npz"
    np.savez(path, a=rng.standard_normal((4, 3)), b=rng.standard_normal((4, 3)))
    return path


def refused(result, *parts):
    """A user's mistake: exit code 2, one error line that holds all the parts, no traceback."""
    assert result.exit_code == 2, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("Error: ")
    for part in parts:
        assert part in message, message


def test_version_and_help(run):
    assert run("--version").output.startswith("mini-repr, version ")
    for command in ("train", "eval", "embed", "list", "show", "losses"):
        result = run(command, "--help")
        assert result.exit_code == 0
        assert command == "losses" or f"mini-repr {command}" in result.output, "the help shows an example"


def test_unknown_command_suggests_the_nearest(run):
    refused(run("trian"), "trian", "'train'")


def test_train_eval_embed(run, tmp_path):
    out = tmp_path / "run"
    result = run("train", "--loss", "infonce", *QUICK, "--out", out)
    assert result.exit_code == 0, result.output
    for row in ("trained", "untrained", "raw input"):
        assert row in result.output
    assert {p.name for p in out.iterdir()} == {
        "config.json",
        "env.json",
        "metrics.jsonl",
        "train.log",
        "checkpoint.npz",
        "metrics.json",
    }
    config = json.loads((out / "config.json").read_text())
    assert config["loss"]["temperature"] == 0.2
    assert config["loss"]["negatives"] == "batch"
    record = json.loads((out / "metrics.jsonl").read_text())
    assert {"epoch", "loss", "infonce", "gradient_norm", "std", "effective_rank"} <= set(record)

    as_json = run("eval", out, "--json")
    assert json.loads(as_json.output) == json.loads((out / "metrics.json").read_text())
    assert "untrained" in run("eval", out).output

    emb = tmp_path / "emb.npz"
    assert run("embed", out, "--data", "digits", "--out", emb).exit_code == 0
    with np.load(emb, allow_pickle=False) as file:
        assert file["z"].shape[0] == 1797
        assert file["z"].dtype == np.float32
        assert file["is_test"].sum() == 360
        assert file["labels"].shape == (1797,)
    refused(run("embed", out, "--out", emb), "exists already")


def test_taken_folder_names_three_ways_out(run, tmp_path):
    out = tmp_path / "run"
    assert run("train", *QUICK, "--out", out).exit_code == 0
    refused(run("train", *QUICK, "--out", out), "not empty", "--resume", "--init-from", "--overwrite")
    assert run("train", *QUICK, "--out", out, "--overwrite").exit_code == 0
    assert run("train", *QUICK, "--out", tmp_path / "second", "--init-from", out).exit_code == 0
    resumed = run("train", "--resume", "--out", out)
    assert resumed.exit_code == 0, resumed.output
    assert "untrained" in resumed.output
    refused(run("train", "--resume", "--out", out, "--lr", "0.1"), "optimizer.lr", "--init-from")
    refused(run("train", "--resume"), "--out")


def test_overwrite_never_deletes_what_no_run_wrote(run, tmp_path):
    out = tmp_path / "home"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    refused(run("train", *QUICK, "--out", out, "--overwrite"), "thesis.tex")
    assert (out / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    "flags, parts",
    [
        (["--loss", "infonec"], ["infonec", "'infonce'"]),
        (["--variant", "ntxent"], ["variant of infonce", "'nt_xent'"]),
        (["--variant", "moco"], ["infonce", "queue"]),
        (["--encoder", "vitt"], ["vitt", "'vit'"]),
        (["--method", "siamees"], ["'siamese'"]),
        (["--method", "supervised"], ["supervised", "infonce", "siamese"]),
        (["--optimizer", "adam"], ["'adamw'"]),
        (["--data", "digit"], ["digit"]),
        (["--data", "glosses", "--method", "siamese"], ["siamese", "texts", "two_tower"]),
        (["--data", "glosses", "--loss", "supcon"], ["supcon", "texts"]),
        (["--reweight", "linuper"], ["loss.reweight", "linupper"]),
        (["--loss", "vicreg", "--reweight", "linupper"], ["vicreg", "no value a row"]),
        (["--matryoshka", "8,x"], ["loss.matryoshka", "[8, 32]"]),
        (["--encoder", "text"], ["encoder text", "texts", "images"]),
        (["--data", "/no/such/file.npz"], ["/no/such/file.npz"]),
        (["--views", "rotat=3"], ["rotat", "rotate"]),
        (["--add", "uniformty=0.5"], ["'uniformity'"]),
        (["--add", "supcon=0.5"], ["supcon", "embeddings/"]),
        (["--add", "uniformity=much"], ["uniformity", "much"]),
        (["--set", "loss.temprature=0.2"], ["temprature", "'temperature'"]),
        (["--set", "loss.temperature=-1"], ["infonce", "temperature", "-1"]),
        (["--set", "loss.temperature=warm"], ["infonce", "temperature", "warm"]),
        (["--set", "temperature=1"], ["SECTION.NAME=VALUE"]),
        (["--set", "nosection.x=1"], ["nosection"]),
        (["--set", "train.epochs=two"], ["train.epochs", "whole number"]),
        (["--epochs", "0"], ["train.epochs", "0"]),
        (["--batch-size", "1"], ["batch_size"]),
        (["--batch-size", "100000"], ["100000"]),
        (["--lr", "-1"], ["lr", "-1"]),
        (["--device", "tpu"], ["tpu", "cpu, gpu"]),
        (["--config", "/no/such.toml"], ["/no/such.toml"]),
        (["--init-from", "/no/such/run"], ["/no/such/run"]),
        (["--resume", "--out", "/no/such/run"], ["/no/such/run"]),
        (["--set", "encoder.depth=-1"], ["depth", "-1"]),
        (["--set", "encoder.patch=3"], ["patch", "3"]),
        (["--epochs", "many"], ["many"]),
        (["--nonsense"], ["--nonsense"]),
    ],
)
def test_wrong_flags_of_train(run, tmp_path, monkeypatch, flags, parts):
    monkeypatch.chdir(tmp_path)
    refused(run("train", *flags), *parts)
    assert not list(tmp_path.iterdir()), "a refused run leaves nothing behind"


def test_gpu_without_one_is_one_line(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from mini_repr import backend

    try:
        backend.get_backend("gpu")
    except backend.DeviceError:
        refused(run("train", "--device", "gpu"), "device gpu")
    else:
        pytest.skip("this machine has a GPU")


@pytest.mark.parametrize("classes, columns", [(None, ["alignment"]), (2, ["20-nn", "10 a class"]), (5, ["20-nn"])])
def test_own_data_by_path_with_and_without_labels(run, tmp_path, monkeypatch, classes, columns):
    """The table leaves out what the data has no labels for; the run is named after the file."""
    monkeypatch.chdir(tmp_path)
    arrays = {"images": np.random.default_rng(0).integers(0, 256, (40, 12, 12, 3), dtype=np.uint8)}
    if classes:
        arrays["labels"] = np.arange(40) % classes
    (tmp_path / "sets").mkdir()
    np.savez(tmp_path / "sets" / "mine.npz", **arrays)
    result = run("train", "--data", tmp_path / "sets" / "mine.npz", *QUICK[:4], "--epochs", 1, "--batch-size", 16)
    assert result.exit_code == 0, result.output
    header = next(line for line in result.output.splitlines() if "alignment" in line)
    assert all(column in header for column in columns)
    assert ("20-nn" in header) == bool(classes)
    assert ("10 a class" in header) == (classes == 2)
    assert (tmp_path / "runs" / "infonce-mine-001" / "metrics.json").exists()


def test_config_file_and_set(run, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('[loss]\nname = "infonce"\ntemperature = 0.5\nnegatives = "views"\n[train]\nepochs = 7\n')
    out = tmp_path / "run"
    result = run("train", "--config", file, *QUICK, "--set", "loss.temperature=0.3", "--out", out)
    assert result.exit_code == 0, result.output
    config = json.loads((out / "config.json").read_text())
    assert config["loss"]["temperature"] == 0.3
    assert config["loss"]["negatives"] == "views"
    assert config["train"]["epochs"] == 1
    file.write_text("[loss\n")
    refused(run("train", "--config", file), str(file), "not TOML")


@pytest.mark.parametrize("damage", ["truncate", "garbage", "missing"])
def test_damaged_checkpoint_is_one_line(run, tmp_path, damage):
    out = tmp_path / "run"
    assert run("train", *QUICK, "--out", out).exit_code == 0
    path = out / "checkpoint.npz"
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(whole[: len(whole) // 2] if damage == "truncate" else b"not a checkpoint")
    refused(run("eval", out), "checkpoint.npz")
    refused(run("train", "--resume", "--out", out), "checkpoint.npz")


def test_eval_of_no_run(run, tmp_path):
    refused(run("eval", tmp_path / "nothing"), "no such run folder")
    refused(run("eval", tmp_path), "config.json")
    for content, complaint in (("[]", "holds no settings"), ("{", "cannot be read")):
        (tmp_path / "config.json").write_text(content)
        refused(run("eval", tmp_path), "config.json", complaint)


def test_list_names_everything(run):
    output = run("list").output
    for name in all_losses():
        assert f"  {name} " in output
    papers = run("list", "--papers").output
    assert papers.count("\n") >= 119
    assert "Understanding the Behaviour of Contrastive Loss" in papers


@pytest.mark.parametrize("name", list(all_losses()))
def test_show_prints_the_page(run, name):
    output = run("show", name).output
    for part in ("Definition", "Gradient", "Source", "arguments", "variants", "@loss", f"@{name}.definition"):
        assert part in output
    assert "@loss" not in run("show", name, "--no-code").output


def test_show_paper_metric_and_unknown(run):
    assert "Understanding the Behaviour of Contrastive Loss" in run("show", "092").output
    assert "knn" in run("show", "knn_accuracy").output
    refused(run("show", "infonse"), "infonse", "'infonce'")


def test_value_of_a_loss_on_arrays(run, arrays, tmp_path):
    with np.load(arrays, allow_pickle=False) as file:
        value, gradients = all_losses()["infonce"].value_and_grad(file["a"], file["b"], temperature=0.5)
    result = run("losses", "value", "infonce", "--input", arrays, "--set", "temperature=0.5", "--json")
    found = json.loads(result.output)
    assert found["value"] == float(value)
    np.testing.assert_array_equal(found["gradients"]["a"], gradients["a"])
    out = tmp_path / "gradients.npz"
    text = run("losses", "value", "infonce", "--input", arrays, "--variant", "nt_xent", "--out", out)
    assert "gradient of temperature" in text.output
    with np.load(out, allow_pickle=False) as file:
        assert set(file.files) == {"value", "grad_a", "grad_b", "grad_temperature"}


def test_value_of_a_loss_refuses(run, arrays, tmp_path):
    refused(run("losses", "value", "infonce", "--input", tmp_path / "no.npz"), "no such file")
    refused(run("losses", "value", "infonze", "--input", arrays), "'infonce'")
    refused(run("losses", "value", "infonce", "--input", arrays, "--variant", "ntxent"), "'nt_xent'")
    refused(run("losses", "value", "infonce", "--input", arrays, "--set", "temperature"), "NAME=VALUE")
    refused(run("losses", "value", "infonce", "--input", arrays, "--set", "temperature=0"), "infonce: temperature")
    text = tmp_path / "text.npz"
    text.write_text("no archive")
    refused(run("losses", "value", "infonce", "--input", text), "text.npz")
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, a=np.array([{"x": 1}], dtype=object), b=np.ones((2, 2)))
    refused(run("losses", "value", "infonce", "--input", pickled), "pickled.npz")
    extra = tmp_path / "extra.npz"
    np.savez(extra, a=np.ones((2, 2)), c=np.ones((2, 2)))
    refused(run("losses", "value", "infonce", "--input", extra), "'c'")
    spoiled = tmp_path / "spoiled.npz"
    np.savez(spoiled, a=np.full((2, 2), np.nan), b=np.ones((2, 2)))
    refused(run("losses", "value", "infonce", "--input", spoiled), "infonce: a", "NaN")


def test_layers_of_a_run(run, tmp_path):
    out = tmp_path / "layers"
    assert run("train", "--encoder", "mlp", "--epochs", "1", "--out", out).exit_code == 0
    output = run("eval", out, "--layers").output
    assert all(part in output for part in ("layer 1", "layer 3", "probe", "DiME", "LiDAR"))
    scores = json.loads(run("eval", out, "--layers", "--json").output)
    assert [row["dimensions"] for row in scores.values()] == [512, 512, 128]
    refused(run("eval", out, "--plot", tmp_path / "layers.png"), "--layers")


def test_training_on_pairs_of_texts(run, tmp_path):
    out, small = tmp_path / "texts", ("--set", "encoder.width=8", "--set", "encoder.hidden=8", "--epochs", "1")
    result = run("train", "--data", "glosses", *small, "--batch-size", "1024", "--out", out)
    assert result.exit_code == 0 and "recall@10" in result.output
    assert run("embed", out, "--out", tmp_path / "emb.npz").exit_code == 0
    with np.load(tmp_path / "emb.npz") as arrays:
        assert arrays["a"].shape == arrays["b"].shape and arrays["a"].shape[1] == 8
    by_layer = json.loads(run("eval", out, "--layers", "--json").output)
    assert len(by_layer) == 2 and by_layer["layer 2"]["dimensions"] == 8
    assert "reciprocal_rank" in by_layer["layer 1"] and "curvature" not in by_layer["layer 1"]
    refused(run("eval", out, "--data", "digits"), "images")
