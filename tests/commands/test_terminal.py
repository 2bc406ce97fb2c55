"""What commands print on a terminal: within its columns, and through a pager where it has too few lines."""

import contextlib
import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from mini_repr.cli import main


def commands(command, path=()):
    """Every command and group, as the words that one types."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*path, name))


def on_terminal(*words, columns=80, lines=24):
    """What a command writes to a terminal of a size, its pager being ``cat`` with a mark."""
    pty = pytest.importorskip("pty")
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        [sys.executable, "-m", "mini_repr.cli", *words],
        stdin=theirs,
        stdout=theirs,
        env={**environment, "PAGER": "sed s/^/paged:/", "TERM": "xterm"},
    ) as process:
        os.close(theirs)
        written = b""
        with contextlib.suppress(OSError):  # how Linux says that the other end is closed
            while piece := os.read(ours, 4096):
                written += piece
    os.close(ours)
    assert process.returncode == 0
    return written.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("path", list(commands(main)), ids=lambda path: " ".join(path) or "mini-repr")
def test_help_fits_80_columns(path):
    shown = CliRunner().invoke(main, [*path, "--help"], prog_name="mini-repr")
    assert shown.exit_code == 0 and max(map(len, shown.output.splitlines())) <= 80


def test_redirected_the_result_of_a_run_stands_alone(tmp_path):
    """Progress goes to stderr, a line for each epoch, and nothing else."""
    words = ["train", "--loss", "flops", "--encoder", "mlp", "--epochs", "2", "--out", str(tmp_path / "run")]
    done = subprocess.run([sys.executable, "-m", "mini_repr.cli", *words], capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("epoch ")] == ["1/2", "2/2"] and len(lines) <= 3
    headline, *table, last = done.stdout.splitlines()
    assert (
        headline.startswith("flops on digits")
        and ", 2 epochs on " in headline
        and last == f"Run folder: {tmp_path / 'run'}"
    )
    assert [line.split()[0] for line in table] == ["20-nn", "trained", "untrained", "raw"]


def test_the_list_of_commands_breaks_off_no_sentence():
    shown = CliRunner().invoke(main, ["--help"], prog_name="mini-repr").output
    assert not [line for line in shown.partition("Commands:")[2].splitlines() if line.endswith("...")]


@pytest.mark.parametrize("columns", [60, 120])
def test_a_list_has_the_columns_of_the_terminal(columns):
    shown = on_terminal("list", "--encoders", columns=columns, lines=200)
    assert "paged:" not in shown and columns - 20 < max(map(len, shown.splitlines())) <= columns


def test_long_output_goes_through_the_pager():
    shown = on_terminal("show", "infonce")
    assert shown.splitlines()[0] == "paged:loss infonce (losses/pairs)"
    short = on_terminal("show", "knn_every")
    assert short.splitlines()[0] == "settings of runs, for --set SECTION.NAME=VALUE"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("train.knn_every", ("train.knn_every  of every run  default 0  (whole, >= 0)", "knn_every: epochs between")),
        ("train", ("train.epochs", "train.batch_size")),
        ("style", ("method.style  of language  default mlm", "method.style  of masked")),
        ("temperature", ("loss.temperature     of infonce",)),
        ("matryoshka", ("loss.matryoshka  of every loss  default []",)),
        ("heads", ("heads.hidden", "encoder.heads")),
        ("digits", ("data digits: mini-repr train --data digits", "1437 train")),
        ("scenes", ("data scenes: mini-repr train --data scenes", "data.count")),
    ],
)
def test_settings_and_data_are_shown(name, parts):
    shown = CliRunner().invoke(main, ["show", name])
    assert shown.exit_code == 0 and all(part in shown.output for part in parts)
