"""`mini-repr eval`: the comparison table of a run, or that of its layers."""

import json

import click

from mini_repr.commands.errors import plain_errors


@click.command("eval", short_help="Print the comparison table of a run, or that of its layers.")
@click.argument("run")
@click.option("--data", metavar="NAME|PATH", help="Other data than the run was trained on.")
@click.option("--device", default=None, metavar="NAME", help="cpu, gpu, gpu:N or auto. Default: the run's.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@click.option("--layers", is_flag=True, help="Measure every layer of the encoder instead: is the last one the best?")
@click.option(
    "--plot",
    metavar="FILE.png",
    help="Draw it too: with --layers the measures, else what a run of masked images rebuilds (extra plot).",
)
@click.option(
    "--topics",
    type=int,
    metavar="N",
    help="Print the first N words of each topic of a topic model instead, how coherent they are and how different.",
)
@plain_errors
def evaluate(run, data, device, as_json, layers, plot, topics):
    """Print the comparison table of a finished or interrupted RUN (its folder).

    \b
    mini-repr eval runs/infonce-digits-001
    mini-repr eval runs/infonce-digits-001 --json
    mini-repr eval runs/infonce-digits-001 --layers
    mini-repr eval runs/masked_regression-digits-001 --plot rebuilt.png
    mini-repr eval runs/topic_elbo-documents-001 --topics 10
    """
    from mini_repr.training import session

    if plot:
        session.figures()  # refuses, where it must, before the work
    run, data = session.opened(run, data, device)
    if topics is not None:
        found = session.topics_of(run, data, topics)
        lines = [f"topic {number}: {' '.join(words)}" for number, words in enumerate(found["topics"], 1)]
        lines.append(f"coherence {found['coherence']:.3f} (NPMI over all texts), diversity {found['diversity']:.3f}")
        click.echo(json.dumps(found, indent=2) if as_json else "\n".join(lines))
        return
    panels = session.rebuilt_images(run, data) if plot and not layers else None
    report = session.evaluate_layers(run, data) if layers else session.compare(run, data)
    if panels:
        session.draw_rebuilt(panels, plot)
    elif plot:
        session.draw_layers(report, plot)
    click.echo(json.dumps(report, indent=2) if as_json else session.table(report))
