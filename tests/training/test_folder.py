"""Run folders: what a run removes, and who may; one process at a time, whole or not at all."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from mini_repr.training import folder

TRAIN = [sys.executable, "-m", "mini_repr.cli", "train"]
SMALL = ["--encoder", "mlp", "--set", "encoder.hidden=16", "--batch-size", "256"]


def content(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


@contextlib.contextmanager
def live(out, *flags):
    """A process that trains into a folder, killed at the end of the block."""
    process = subprocess.Popen(
        [*TRAIN, *SMALL, "--epochs", "5000", "--out", out, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not (out / folder.EPOCHS).exists():
            assert process.poll() is None
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run, not to be changed."""
    out = tmp_path_factory.mktemp("finished") / "run"
    subprocess.run([*TRAIN, *SMALL, "--epochs", "1", "--out", out], check=True, capture_output=True)
    return out


def test_a_live_run_is_left_alone_and_a_killed_one_resumes_at_once(tmp_path):
    out = tmp_path / "run"
    with live(out) as process:
        process.send_signal(signal.SIGSTOP)  # alive, and nothing of it moves
        os.waitpid(process.pid, os.WUNTRACED)  # the signal was sent; now it has come
        before = content(out)
        for flags in (["--resume"], [*SMALL, "--overwrite"], [*SMALL, "--overwrite", "--epochs", "1"]):
            refused = subprocess.run([*TRAIN, *flags, "--out", out], capture_output=True, text=True)
            assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1, refused.stderr
            assert f"process {process.pid} on " in refused.stderr and "trains into it" in refused.stderr
        assert content(out) == before and os.listdir(tmp_path) == ["run"]
        read = subprocess.run([sys.executable, "-m", "mini_repr.cli", "eval", out], capture_output=True, text=True)
        assert read.returncode == 0 and "untrained" in read.stdout
    assert "Once it has ended, this file has no effect" in (out / folder.LOCK).read_text()
    run = folder.open_run(out)
    run.lock()
    with pytest.raises(folder.RunError, match=f"process {os.getpid()} on "):
        folder.open_run(out).lock()
    run.close()
    assert not (out / folder.LOCK).exists()


@pytest.mark.parametrize("write", ["write_json", "log"])
def test_a_set_up_that_fails_leaves_the_replaced_run_as_it_was(tmp_path, finished, monkeypatch, write):
    from mini_repr.training import session

    out = shutil.copytree(finished, tmp_path / "run")
    before = content(out)

    def fail(self, *args):
        raise KeyboardInterrupt

    monkeypatch.setattr(folder.RunFolder, write, fail)
    with pytest.raises(KeyboardInterrupt):
        session.start({}, out, overwrite=True)
    assert content(out) == before and os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("moment", ["save", "take_place", "_move"])
def test_an_overwrite_killed_in_its_set_up_loses_nothing(tmp_path, finished, moment):
    """SIGKILL before the checkpoint, before the swap, and between its two moves."""
    out = shutil.copytree(finished, tmp_path / "run")
    before = content(out)
    owner = "run.Run" if moment == "save" else "folder.RunFolder"
    kill = f"""
import os, mini_repr.training.folder as folder, mini_repr.training.run as run
from mini_repr.cli import main
whole = {owner}.{moment}
def killed(self, *args):
    if {moment!r} == "_move":
        whole(self, *args)
    os.kill(os.getpid(), 9)
{owner}.{moment} = killed
main()
"""
    command = [sys.executable, "-c", kill, "train", *SMALL, "--epochs", "1", "--out", out, "--overwrite"]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    home = folder.open_run(out)
    home.lock()
    home.close()
    assert content(out) == before
    done = subprocess.run(
        [*TRAIN, *SMALL, "--epochs", "2", "--out", out, "--overwrite"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert os.listdir(tmp_path) == ["run"] and len((out / folder.EPOCHS).read_text().splitlines()) == 2


def test_settings_that_only_the_first_batch_refuses_bring_the_replaced_run_back(tmp_path, finished):
    out = shutil.copytree(finished, tmp_path / "run")
    command = [*TRAIN, *SMALL, "--matryoshka", "8,500", "--out", out, "--overwrite"]
    assert subprocess.run(command, capture_output=True).returncode == 2
    assert content(out) == content(finished) and os.listdir(tmp_path) == ["run"]


def test_a_file_system_without_locks_goes_by_host_and_process(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "fcntl", None)
    run = folder.create(tmp_path / "run")
    with pytest.raises(folder.RunError, match=f"process {os.getpid()} on .*if it has not ended; if it has, delete "):
        folder.RunFolder(run.path).lock()
    run.close()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = folder.socket.gethostname()
    (run / folder.LOCK).write_text(f"process {ended.pid} on {host}, since yesterday,\n")
    run.lock()
    run.close()
    (run / folder.LOCK).write_text(f"process {ended.pid} on another-{host}, since yesterday,\n")
    with pytest.raises(folder.RunError, match=r"on another-.*delete "):
        run.lock()


def test_a_resumed_run_with_nothing_left_prints_its_stored_table(tmp_path, finished):
    out = shutil.copytree(finished, tmp_path / "run")
    report = (out / folder.REPORT).read_text().replace('"dimensions": 128', '"dimensions": 77')
    (out / folder.REPORT).write_text(report)
    for _ in range(2):
        done = subprocess.run([*TRAIN, "--resume", "--out", out], capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout.count("nothing was left to train") == 1
        assert "77" in done.stdout
    (out / folder.REPORT).unlink()
    done = subprocess.run([*TRAIN, "--resume", "--out", out], capture_output=True, text=True)
    assert done.returncode == 0 and "128" in done.stdout and "nothing was left" not in done.stdout


@pytest.mark.parametrize("file", [folder.CONFIG, folder.EPOCHS, folder.LOG])
def test_a_full_disk_names_the_file(tmp_path, monkeypatch, file):
    run = folder.create(tmp_path / "run")
    (run / file).unlink(missing_ok=True)
    os.symlink("/dev/full", run / (f".{file}.{os.getpid()}" if file == folder.CONFIG else file))
    with pytest.raises(folder.RunError, match=rf"{file}.*cannot be written: No space left"):
        {folder.CONFIG: lambda: run.write_json(file, {}), folder.EPOCHS: lambda: run.append_epoch({})}.get(
            file, lambda: run.log("x")
        )()


def test_overwrite_knows_what_runs_write_also_among_hidden_files(tmp_path, finished):
    out = shutil.copytree(finished, tmp_path / "run")
    (out / ".checkpoint.npz.0123.tmp").write_text("left by a killed run")
    (out / ".git").mkdir()
    with pytest.raises(folder.RunError, match=r"holds \.git, which no run writes"):
        folder.create(out, overwrite=True)
    (out / ".git").rmdir()
    folder.create(out, overwrite=True).remove()


def test_only_the_rank_that_writes_removes_and_only_what_runs_write(tmp_path):
    run = folder.create(tmp_path / "run")
    run.write_json(folder.CONFIG, {})
    (run / "notes.txt").write_text("mine")
    folder.Onlooker(run.path).remove()
    assert (run / folder.CONFIG).exists()
    run.remove()
    assert [path.name for path in run.path.iterdir()] == ["notes.txt"]
