"""The commands as a user types them, wrong flags included: one line and exit code 2, never a traceback."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from device_double import Device, double_xp

from mini_repr import __version__, backend
from mini_repr.cli import main
from mini_repr.commands.list import everything
from mini_repr.pages.registry import all_losses
from mini_repr.pages.tables import UNFOLDED
from mini_repr.training import checkpoint, session

QUICK = ["--encoder", "mlp", "--set", "encoder.hidden=16", "--epochs", "1", "--batch-size", "256"]


@pytest.fixture
def run():
    runner = CliRunner()

    def invoke(*args):
        return runner.invoke(main, [str(a) for a in args])

    return invoke


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run, not to be changed."""
    out = tmp_path_factory.mktemp("trained") / "run"
    assert CliRunner().invoke(main, ["train", *QUICK, "--out", str(out)]).exit_code == 0
    return out


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


@pytest.mark.parametrize("wrong", ["trian", "metricz", "lst"])
def test_a_suggestion_appears_once(run, wrong):
    assert run(wrong).stderr.count("Did you mean") == 1


@pytest.mark.parametrize("module", ["click", "mini_repr.commands.train", "mini_repr.training.session", "scipy"])
def test_a_start_stopped_while_it_imports_prints_no_traceback(module, tmp_path):
    """Ctrl-C in a real process at the moment when it comes to a module: early, late, within a command."""
    script = f"""
import os, signal, sys
class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Stop())
from mini_repr.cli import main
main()
"""
    command = [sys.executable, "-c", script, "train", *QUICK, "--out", tmp_path / "run"]
    stopped = subprocess.run(command, capture_output=True, text=True)
    assert stopped.returncode == 130, stopped.stderr
    assert stopped.stderr in ("", "Stopped\n")


@pytest.mark.parametrize("flags, collapsed", [(["--lr", "10"], True), ([], False)])
def test_a_collapsed_run_ends_with_a_warning(run, tmp_path, flags, collapsed):
    result = run("train", *flags, "--epochs", "3", "--set", "encoder.depth=1", "--out", tmp_path / "run")
    warnings = [line for line in result.stderr.splitlines() if line.startswith("Warning: ")]
    assert result.exit_code == 0 and len(warnings) == collapsed
    assert all(part in line for line in warnings for part in ("collapsed: std 0.0", "effective rank 1.", "--lr"))


def test_classes_that_training_never_sees_are_refused(run, tmp_path, monkeypatch):
    """Whatever the reader: an archive with its own parts, or texts whose third column is no class."""
    monkeypatch.chdir(tmp_path)
    images = np.zeros((10, 8, 8), dtype=np.uint8)
    np.savez("f.npz", x_train=images, x_test=images, y_train=np.arange(10) % 2, y_test=np.arange(10) % 4)
    refused(run("train", "--data", "f.npz"), "classes without a training row: 2 of the test part, the first '2'")
    (tmp_path / "f.tsv").write_text("".join(f"q{i}\td{i}\tfar {i}\n" for i in range(10)))
    refused(run("train", "--data", "f.tsv"), "2 of the test part, the first 'far 0'", "--set data.columns=a,b")
    (tmp_path / "f.tsv").write_text("a\tb\tfar\n" + "".join(f"q{i}\td{i}\tfar {i}\n" for i in range(10)))
    result = run("train", "--data", "f.tsv", "--set", "data.columns=a,b", "--epochs", 1, "--batch-size", 4)
    assert result.exit_code == 0, result.output
    refused(run("train", "--data", "f.tsv", "--set", "data.columns=a,b"), "at most the 8", "--batch-size 8")


def test_a_full_disk_names_the_file_of_a_loss(run, arrays):
    refused(run("losses", "value", "infonce", "--input", arrays, "--out", "/dev/full"), "/dev/full: cannot be written")


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
        (["--variant", "nt_xant"], ["variant of infonce", "'nt_xent'"]),
        (["--variant", "moco"], ["infonce", "queue"]),
        (["--encoder", "vitt"], ["vitt", "'vit'"]),
        (["--method", "siamees"], ["'siamese'"]),
        (["--method", "supervised"], ["supervised", "infonce", "simclr"]),
        (["--optimizer", "adam"], ["'adamw'"]),
        (["--data", "digit"], ["digit"]),
        (["--data", "glosses", "--method", "siamese"], ["siamese", "texts", "two_tower"]),
        (["--data", "glosses", "--loss", "supcon"], ["supcon", "texts"]),
        (["--reweight", "linuper"], ["loss.reweight", "linupper"]),
        (["--loss", "vicreg", "--reweight", "linupper"], ["vicreg", "no value per row"]),
        (["--matryoshka", "8,x"], ["loss.matryoshka", "[8, 32]"]),
        (["--encoder", "text"], ["encoder text", "texts", "images"]),
        (["--data", "/no/such/file.npz"], ["/no/such/file.npz"]),
        (["--views", "rotat=3"], ["rotat", "rotate"]),
        (["--add", "uniformty=0.5"], ["'uniformity'"]),
        (["--add", "supcon=0.5"], ["supcon", "embeddings/"]),
        (["--add", "uniformity=much"], ["uniformity", "much"]),
        (["--add", "uniformity="], ["uniformity", "''"]),
        (["--add", "uniformity=1", "--add", "uniformity=2"], ["uniformity", "once"]),
        (["--add", "=2"], ["=2", "NAME=WEIGHT"]),
        (["--add", "infonce"], ["add infonce", "main loss"]),
        (["--optimizer", "sam"], ["'sam:"]),
        (["--rho", "0.1"], ["optimizer.rho", "sam:adamw"]),
        (["--set", "optimizer.betas=[0.9]"], ["adamw: betas", "list of 2"]),
        (["--set", "optimizer.betas=[0.9, 'x']"], ["adamw: betas", "'x'"]),
        (["--set", "train.epochs=None"], ["train.epochs", "None"]),
        (["--set", "train.foo=1"], ["no such setting of train; known: epochs"]),
        (["--set", "loss.name=[1]"], ["loss [1]", "mini-repr list"]),
        (["--set", "method.views=3"], ["views: got 3"]),
        (["--set", "data.name=3"], ["data: got 3"]),
        (["--data", ""], ["data: got ''", "digits"]),
        (["--data", "glosses", "--views", "shift=1"], ["views: got 'shift=1'", "texts"]),
        (["--method", "click_through", "--data", "clicks", "--views", "shift=1"], ["views: got 'shift=1'", "tables"]),
        (["--method", "topic_model"], ["method topic_model: takes sentences, the data holds images"]),
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
    try:
        backend.get_backend("gpu")
    except backend.DeviceError:
        refused(run("train", "--device", "gpu"), "device gpu")
    else:
        pytest.skip("this machine has a GPU")


class NoRoom(MemoryError):
    """CuPy's error, of a module of that name."""

    __module__ = "cupy.cuda.memory"


@pytest.mark.parametrize(
    "device, parts",
    [
        ("gpu:7", ["device gpu:7: this machine has 2 GPU(s), numbered from 0"]),
        ("gpu:x", ["device 'gpu:x'"]),
        ("gpu:1", ["device gpu: Out of memory allocating 9 bytes", "lower --batch-size, --grad-cache", "tile"]),
    ],
)
def test_what_a_gpu_cannot_do_is_one_line(run, tmp_path, monkeypatch, device, parts):
    """The double stands for CuPy; its second device has no memory."""
    monkeypatch.chdir(tmp_path)

    def no_room(*args, **params):
        raise NoRoom("Out of memory allocating 9 bytes")

    monkeypatch.setitem(sys.modules, "cupy", double_xp)
    backend._cupy_backend.cache_clear()
    monkeypatch.setattr(backend, "_BACKENDS", {np.ndarray: backend.CPU})
    monkeypatch.setattr(backend.CupyBackend, "asarray", no_room)
    try:
        refused(run("train", "--device", device), *parts)
        assert not list(tmp_path.glob("runs/*"))
    finally:
        Device(0).use()
        backend._cupy_backend.cache_clear()


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


@pytest.mark.parametrize(
    "file, change, parts",
    [
        ("config.json", lambda settings: settings.clear(), ["holds no settings"]),
        ("config.json", lambda settings: settings.update(train=3), ["holds no settings"]),
        ("config.json", lambda settings: settings["loss"].update(name="infonc"), ["'infonce'", "0.0.1", __version__]),
        ("config.json", lambda settings: settings["encoder"].update(width=3), ["checkpoint.npz", "settings", "0.0.1"]),
        ("checkpoint.npz", lambda meta: meta.pop("epoch"), ["settings beside it", "'epoch'"]),
        ("checkpoint.npz", lambda meta: meta.update(random={}), ["settings beside it", "'views'"]),
        ("checkpoint.npz", lambda meta: meta.update(epoch="late"), ["settings beside it", "late"]),
    ],
)
def test_a_folder_of_another_version_is_one_line(run, trained, tmp_path, file, change, parts):
    out = shutil.copytree(trained, tmp_path / "run")
    environment = json.loads((out / "env.json").read_text())
    (out / "env.json").write_text(json.dumps({**environment, "mini_repr": "0.0.1"}))
    if file == "config.json":
        content = json.loads((out / file).read_text())
        change(content)
        (out / file).write_text(json.dumps(content))
    else:
        arrays, meta = checkpoint.load(out / file)
        change(meta)
        checkpoint.save(out / file, arrays, meta)
    for command in (["eval", out], ["train", "--resume", "--out", out]):
        result = run(*command)
        refused(result, *parts)
        assert len(result.stderr.splitlines()) == 1 and len(result.stderr) < 500


def test_weights_of_another_kind_of_run_are_one_short_line(run, trained, tmp_path):
    result = run("train", "--init-from", trained, "--out", tmp_path / "vit")
    refused(result, f"--init-from {trained}", "infonce by simclr with mlp", "infonce by simclr with vit")
    assert len(result.stderr) < len(str(trained)) + 350
    assert not (tmp_path / "vit").exists()


def test_another_loss_starts_from_the_encoder(run, trained, tmp_path):
    result = run("train", *QUICK, "--loss", "cross_entropy", "--init-from", trained, "--out", tmp_path / "tuned")
    assert result.exit_code == 0 and f"from the encoder of {trained}" in result.output
    result = run("train", *QUICK, "--init-from", trained, "--out", tmp_path / "again")
    assert f"from the weights of {trained}" in result.output


def test_what_only_the_first_batch_refuses_leaves_no_run_behind(run, tmp_path):
    out = tmp_path / "run"
    refused(run("train", *QUICK, "--matryoshka", "8,500", "--out", out), "loss.matryoshka: got 500 columns", "64")
    assert not out.exists()


def test_places_that_cannot_be_written_are_refused_before_the_work(run, tmp_path, monkeypatch):
    from mini_repr.claims.bench import claim as claims
    from mini_repr.training import evaluation

    monkeypatch.setattr(evaluation, "opened", None)
    monkeypatch.setattr(claims, "run", None)
    refused(run("embed", tmp_path, "--out", tmp_path / "no" / "emb.npz"), "--out", "no folder")
    refused(run("embed", tmp_path, "--out", ""), "--out: got ''")
    refused(run("claim", "simsiam", "--out", tmp_path), "--out", "is a folder")


def test_the_progress_bar_is_one_line_of_a_narrow_terminal(tmp_path):
    """A longer one would be wrapped, and every update would leave its remains above."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = ["train", "--loss", "vicreg", *QUICK, "--epochs", "2", "--out", str(tmp_path / "run")]
    with subprocess.Popen(
        [sys.executable, "-c", "from mini_repr.cli import main; main()", *command],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "COLUMNS": "80"},
    ) as process:
        os.close(theirs)
        written = b""
        with contextlib.suppress(OSError):  # how Linux says that the other end is closed
            while piece := os.read(ours, 4096):
                written += piece
    os.close(ours)
    assert process.returncode == 0
    states = re.sub(r"\x1b\[\?25[lh]", "", written.decode()).replace("\n", "\r").split("\r")
    assert any("loss" in state and "rank" in state for state in states)
    assert max(map(len, states)) <= 80


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
    assert "Understanding the Behaviour of Contrastive Loss" in " ".join(papers.split())


def test_list_of_words_has_the_entries_with_all_of_them(run):
    found = run("list", "NT-Xent").output
    assert re.findall(r"^\S.*", found, flags=re.MULTILINE) == [
        "losses",
        "names of the field, for --loss, show and check --against",
    ]
    assert "  infonce " in found and "  simclr " in found and "siglip" not in found
    rows = run("list", "--losses", "queue", "hardest").output.splitlines()
    assert [line.split()[0] for line in rows if re.match("  [a-z]", line)] == ["moco_dual"]
    claims = run("list", "--claims", "tldr").output
    assert claims.startswith("claims (1 holds)\n"), "counts are of what is shown"
    refused(run("list", "infonze"), "nothing has this word", "'infonce'")
    refused(run("list", "--metrics", "infonce", "xyz"), "nothing has these words")


@pytest.mark.parametrize("name", list(all_losses()))
def test_show_prints_the_page(run, name):
    output = run("show", name).output
    for part in ("Definition", "Gradient", "Source", "arguments", "variants", "@loss", f"@definition({name})"):
        assert part in output
    assert "@loss" not in run("show", name, "--no-code").output


def test_show_paper_metric_and_unknown(run):
    assert "Understanding the Behaviour of Contrastive Loss" in run("show", "092").output
    assert "knn" in run("show", "knn_accuracy").output
    assert run("show", "92").output == run("show", "092").output
    assert "mini-repr claim simsiam" in run("show", "simsiam").output
    refused(run("show", "infonse"), "infonse", "'infonce'")
    assert len(run("show", "xyzzy").stderr) < 200, "not the names of all that there is"


@pytest.mark.parametrize("name, setting", [("siamese", "heads.dimensions  "), ("vit", "encoder.patch  ")])
def test_show_methods_and_encoders(run, name, setting):
    output = run("show", name).output
    assert setting in output
    assert "def __init__" in output and "def __init__" not in run("show", name, "--no-code").output


@pytest.mark.parametrize("kind", ["losses", "metrics", "papers", "claims"])
def test_lists_are_folded_to_the_terminal_and_nothing_is_lost(kind):
    wide, folded = everything(kind, width=UNFOLDED), everything(kind)
    assert max(map(len, folded.splitlines())) <= 80
    assert folded.split() == wide.split()


def test_value_of_a_loss_on_arrays(run, arrays, tmp_path):
    with np.load(arrays, allow_pickle=False) as file:
        value, gradients = all_losses()["infonce"].value_and_grad(file["a"], file["b"], temperature=0.5)
    result = run("losses", "value", "infonce", "--input", arrays, "--set", "temperature=0.5", "--json")
    found = json.loads(result.output)
    assert found["value"] == float(value)
    np.testing.assert_array_equal(found["gradients"]["a"], gradients["a"])
    one_way = run("losses", "value", "infonce", "--input", arrays, "--set", "symmetric=False", "--json")
    assert json.loads(one_way.output)["settings"] == {"symmetric": False}, "as `show` prints it"
    out = tmp_path / "gradients.npz"
    text = run("losses", "value", "infonce", "--input", arrays, "--variant", "nt_xent", "--out", out)
    assert "gradient of temperature" in text.output
    with np.load(out, allow_pickle=False) as file:
        assert set(file.files) == {"value", "grad_a", "grad_b", "grad_temperature"}


def test_value_of_a_loss_refuses(run, arrays, tmp_path):
    refused(run("losses", "value", "infonce", "--input", tmp_path / "no.npz"), "no such file")
    refused(run("losses", "value", "infonze", "--input", arrays), "'infonce'")
    refused(run("losses", "value", "infonce", "--input", arrays, "--variant", "nt_xant"), "'nt_xent'")
    refused(run("losses", "value", "infonce", "--input", arrays, "--set", "temperature"), "NAME=VALUE")
    refused(run("losses", "value", "infonce", "--input", arrays, "--set", "temperature=0"), "infonce: temperature")
    refused(run("losses", "value", "infonce", "--input", arrays, "--set", "temprature=1"), "'temperature'")
    several = tmp_path / "several.npz"
    np.savez(several, a=np.ones((2, 2)), b=np.ones((2, 2)), temperature=np.ones(2))
    refused(run("losses", "value", "infonce", "--input", several), "temperature", "shape (2,)", "one number")
    np.save(tmp_path / "one.npy", np.ones((2, 2)))
    refused(run("losses", "value", "infonce", "--input", tmp_path / "one.npy"), "one.npy", "no zip archive")
    refused(run("metrics", tmp_path / "one.npy"), "one.npy", "no zip archive")
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
    with pytest.raises(ValueError, match="simclr rebuilds no images; give --layers too"):
        session.rebuilt_images(*session.opened(out))


@pytest.mark.parametrize(
    "loss, method, drawn",
    [
        ("masked_regression", "masked", {"image", "visible", "rebuilt", "attention"}),
        ("patch_order", "hpm", {"image", "visible", "rebuilt", "scores", "attention"}),
        ("infonce", "masked_contrast", {"image", "visible", "rebuilt", "attention"}),
    ],
)
def test_what_a_run_of_masked_images_rebuilds(run, tmp_path, loss, method, drawn):
    out, small = tmp_path / "run", ("--set", "encoder.width=16", "--set", "encoder.pooling=cls", "--epochs", "1")
    assert run("train", "--loss", loss, "--method", method, *small, "--out", out).exit_code == 0
    panels = session.rebuilt_images(*session.opened(out))
    assert set(panels) == drawn
    hidden = (panels["visible"] == 0.5).all(axis=1)
    for name in ("visible", "rebuilt"):
        np.testing.assert_array_equal(
            np.where(hidden, 0, panels[name][:, 0]), np.where(hidden, 0, panels["image"][:, 0])
        )
    assert hidden.mean() == pytest.approx(0.75, abs=0.06) and panels["attention"].shape == (8, 8, 8)
    assert not np.array_equal(panels["rebuilt"], panels["visible"])


def test_clips_are_trained_on_evaluated_embedded_and_drawn(run, tmp_path):
    clips, out = tmp_path / "clips.npz", tmp_path / "run"
    rng = np.random.default_rng(0)
    np.savez(clips, clips=rng.random((40, 4, 1, 8, 8)), labels=np.arange(40) % 2)
    small = ("--set", "encoder.width=16", "--set", "encoder.patch=4", "--epochs", "1", "--batch-size", "16")
    masked = ("--loss", "masked_regression", "--set", "method.mask=space", "--set", "encoder.pooling=cls")
    result = run("train", *masked, "--data", clips, *small, "--out", out)
    assert result.exit_code == 0 and "untrained" in result.output, result.output
    assert run("eval", out, "--layers").exit_code == 0
    assert run("embed", out, "--out", tmp_path / "rows.npz").exit_code == 0
    with np.load(tmp_path / "rows.npz") as arrays:
        assert arrays["z"].shape == (40, 16)
    panels = session.rebuilt_images(*session.opened(out))
    assert panels["image"].shape == (8, 1, 8, 8) and panels["attention"].shape == (8, 8, 8)
    hidden = (panels["visible"][:, 0] == 0.5).reshape(4, 2, 8, 8)  # four clips of two frames each
    assert (hidden[:, 0] == hidden[:, 1]).all() and hidden.mean() == 0.75
    refused(run("eval", out, "--data", "digits"), ", 1, 8, 8)", "takes (4, 1, 8, 8)")
    refused(run("train", *masked, "--data", "moving", "--set", "method.mask=tube"), "'tube'", "space")
    refused(run("train", *masked, "--data", "moving", "--set", "encoder.tube=3"), "tube", "divisor of 8 frames")
    pytest.importorskip("matplotlib")
    assert run("eval", out, "--plot", tmp_path / "rebuilt.png").exit_code == 0


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
