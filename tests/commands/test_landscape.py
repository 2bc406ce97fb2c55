"""``mini-repr landscape`` of a run, with views and with labels."""

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.cli import main


@pytest.mark.parametrize("loss", ["infonce", "cross_entropy"])
def test_a_surface_of_a_run(loss, tmp_path):
    run = CliRunner().invoke
    words = ["train", "--loss", loss, "--encoder", "mlp", "--epochs", "1", "--out", str(tmp_path / "run")]
    done = run(main, words)
    assert done.exit_code == 0, done.output
    out = tmp_path / "surface.npz"
    done = run(main, ["landscape", str(tmp_path / "run"), "--points", "3", "--reach", "0.5", "--out", str(out)])
    assert done.exit_code == 0, done.output
    written = np.load(out)
    assert written["losses"].shape == (3, 3) and written["steps"].tolist() == [-0.5, 0.0, 0.5]
    assert np.isfinite(written["losses"]).all() and len(np.unique(written["losses"])) == 9
    assert f"loss {written['losses'][1, 1]:.4f} at the weights" in done.stdout


def test_no_run_is_one_line(tmp_path):
    done = CliRunner().invoke(main, ["landscape", str(tmp_path / "none")])
    assert done.exit_code == 2 and len(done.stderr.splitlines()) == 1
