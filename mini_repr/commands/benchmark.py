"""`mini-repr benchmark`: the task-adaptation benchmark on a run, or on rows that another library made."""

import json
from pathlib import Path

import click

from mini_repr.commands.errors import plain_errors


@click.command(short_help="Score a run, or rows from anywhere, on eleven small tasks.")
@click.argument("source", metavar="RUN|FILE.npz", required=False)
@click.option("--images", metavar="FILE.npz", help="Write the images of all tasks there, for another library to embed.")
@click.option("--finetune", is_flag=True, help="Tune a copy of the RUN's encoder to every task, in place of a probe.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@plain_errors
def benchmark(source, images, finetune, as_json):
    """Score the encoder of a RUN on 8 x 8 digits, or the rows in FILE.npz, on eleven small tasks.

    FILE.npz holds rows for every array of --images, under the same names, in the same order.

    \b
    mini-repr benchmark runs/infonce-digits-001
    mini-repr benchmark runs/infonce-digits-001 --finetune
    mini-repr benchmark --images tasks.npz
    mini-repr benchmark rows.npz
    """
    from mini_repr.commands.settings import write
    from mini_repr.pages.tables import table
    from mini_repr.posthoc import vtab

    if (source is None) == (images is None):
        raise ValueError("benchmark: of what? Give a RUN or a FILE.npz, or --images FILE.npz to write the tasks")
    if finetune and (images or not Path(source).is_dir()):
        raise ValueError(
            f"benchmark --finetune: got {images or source}, expected the folder of a RUN, whose weights move"
        )
    if images:
        write(images, {_name(t, p): getattr(vtab.examples(t), p) for t in vtab.TASKS for p in ("train", "test")})
        click.echo(f"{images}: {len(vtab.TASKS)} tasks, NAME.train and NAME.test each")
        return
    found = vtab.finetuned_benchmark(_encoder(source)) if finetune else vtab.benchmark(_embedding(source))
    if as_json:
        click.echo(json.dumps(found._asdict(), indent=2))
        return
    rows = [
        (t.group, t.name, f"{found.tasks[t.name]:.3f}", f"guessing {found.majority[t.name]:.3f}") for t in vtab.TASKS
    ]
    click.echo(table("accuracy with 1,000 examples", rows))
    click.echo(
        table("means", [*((g, f"{v:.3f}") for g, v in found.groups.items()), ("all tasks", f"{found.total:.3f}")])
    )


def _name(task, part):
    return f"{task.name.replace(' ', '_')}.{part}"


def _encoder(source):
    """The trained encoder of a run of 8 x 8 images.

    Raises:
        ValueError: the run takes others.
    """
    from mini_repr.training.stored import stored_encoder

    encoder = stored_encoder(source)
    if getattr(encoder, "image_shape", None) != (1, 8, 8):
        takes = f"images of shape {encoder.image_shape}" if hasattr(encoder, "image_shape") else "texts"
        raise ValueError(f"{source}: takes {takes}, expected images of shape (1, 8, 8)")
    return encoder


def _embedding(source):
    """``embed(task, part, images)`` of a run's encoder, or the rows in a file."""
    from mini_repr.data.readers.npz import read_arrays

    if Path(source).is_dir():
        from mini_repr.training.evaluation import image_encoder

        encode = image_encoder(source, (1, 8, 8))
        return lambda task, part, images: encode(images)
    arrays = read_arrays(source)

    def rows(task, part, images):
        name = _name(task, part)
        if name not in arrays or arrays[name].ndim != 2 or len(arrays[name]) != len(images):
            got = f"shape {arrays[name].shape}" if name in arrays else "none"
            raise ValueError(f"{source}: {name}: got {got}, expected rows ({len(images)}, D) of --images' array")
        return arrays[name]

    return rows
