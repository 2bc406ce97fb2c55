"""What the README promises: its Python runs, its commands run, its session is what `check` prints, its links lead."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from mini_repr.book.chapters import CHAPTERS, claims_totals, with_table
from mini_repr.cli import main
from mini_repr.training.table import table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (?:.*&& )?(mini-repr [^#\n]+)", README, flags=re.MULTILINE)
BLOCKS = re.findall(r"^```python\n(.*?)```", README, flags=re.DOTALL | re.MULTILINE)
# What a test adds to a command, so that it takes a second.
SHORTER = {
    "train": ["--epochs", "1", "--set", "encoder.depth=1", "--set", "encoder.width=16"],
    "book": ["--only", "flops"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files that the README's commands read: what its own Python writes."""
    folder = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in BLOCKS:
            exec(compile(block, "README.md", "exec"), {})
    naive = next(block for block in BLOCKS if "def nt_xent" in block)
    (folder / "naive.py").write_text(naive, encoding="utf-8")
    (folder / "pyproject.toml").write_text(re.search(r"^```toml\n(.*?)```", README, re.DOTALL | re.MULTILINE)[1])
    return folder


def test_it_is_short():
    assert len(README.encode()) <= 10_000


def test_two_commands_do_all_the_set_up():
    assert "    python -m pip install -e . && mini-repr train --loss infonce\n" in README
    assert "    python -m pip install -e '.[test]' && python -m pytest\n" in README


def test_commands_run_one_after_the_other(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for command in COMMANDS:
        _, name, *words = shlex.split(command)
        if name in ("book", "report") and find_spec("math_core") is None:  # the extra book is not installed
            continue
        result = CliRunner().invoke(main, [name, *words, *SHORTER.get(name, [])])
        assert result.exit_code == 0, f"{command}: {result.output}"


def test_the_session_is_what_check_prints(folder, monkeypatch):
    monkeypatch.chdir(folder)
    command, _, output = re.search(r"^```\n\$ mini-repr (.*?)```", README, re.DOTALL | re.MULTILINE)[1].partition("\n")
    result = CliRunner().invoke(main, shlex.split(command))
    assert result.output == output and result.exit_code == 1


def test_its_checks_in_pyproject_run(folder, monkeypatch):
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(main, ["check"])
    assert result.exit_code == 1 and "off_diagonal is left out" in result.output


def test_its_links_lead_to_files():
    links = re.findall(r"\]\((?!http)([^)#]+)", README)
    assert [link for link in links if not (ROOT / link).is_file()] == []
    assert {f"mini_repr/book/{name}.md" for name in CHAPTERS} <= set(links)


def test_its_totals_are_those_of_the_stored_results():
    assert with_table(README, claims_totals()) == README


def test_its_table_is_what_a_run_prints():
    raw = {"knn": 0.981, "probe": 0.967, "probe_few": 0.871, "probe_few_deviation": 0.02, "alignment": 0.458}
    raw |= {"uniformity": -1.159, "effective_rank": 28.5, "dimensions": 64}
    header, row = table({"raw input": raw}).splitlines()
    assert f"\n{header}\ntrained " in README and f"\n{row}\n" in README and len(header) <= 80
