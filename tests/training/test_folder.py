"""Run folders: what a run removes, and who may."""

from mini_repr.training import folder


def test_only_the_rank_that_writes_removes_and_only_what_runs_write(tmp_path):
    run = folder.create(tmp_path / "run")
    run.write_json(folder.CONFIG, {})
    (run / "notes.txt").write_text("mine")
    folder.Onlooker(run.path).remove()
    assert (run / folder.CONFIG).exists()
    run.remove()
    assert [path.name for path in run.path.iterdir()] == ["notes.txt"]
