"""The command line ``mini-repr``: one group; each command is a file of ``commands/``, imported when it is asked for."""

import importlib

try:
    import click

    import mini_repr
    from mini_repr.commands.errors import NearestName
except KeyboardInterrupt:  # most of the start is imports
    raise SystemExit(130) from None

# {command: its file in commands/ and the name there}
COMMANDS = {
    "train": "train.train",
    "eval": "evaluate.evaluate",
    "embed": "embed.embed",
    "compare": "compare.compare",
    "report": "report.report",
    "export": "export.export",
    "sample": "sample.sample",
    "standin": "standin.standin",
    "metrics": "metrics.metrics",
    "posthoc": "posthoc.posthoc",
    "benchmark": "benchmark.benchmark",
    "quantise": "quantise.quantise",
    "landscape": "landscape.landscape",
    "theorem": "theorem.theorem",
    "list": "list.list_everything",
    "show": "show.show",
    "cite": "cite.cite",
    "claim": "claim.claim",
    "losses": "losses_value.losses",
    "check": "check.check",
    "vectors": "vectors.vectors",
    "precision": "precision.precision",
    "book": "book.book",
}


class Commands(NearestName):
    """The commands by name; only the one that runs is imported, so that the start takes no time."""

    def list_commands(self, ctx):
        return sorted(COMMANDS)

    def get_command(self, ctx, name):
        if name not in COMMANDS:
            return None
        file, _, attribute = COMMANDS[name].partition(".")
        return getattr(importlib.import_module(f"mini_repr.commands.{file}"), attribute)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(mini_repr.__version__, "--version", prog_name="mini-repr")
def main():
    """Representation learning, each loss one readable page with a hand-derived gradient.

    \b
    mini-repr train --loss infonce    train on the embedded digits, about a minute
    mini-repr show infonce            read the page of a loss
    mini-repr list                    what there is
    mini-repr losses value infonce --input arrays.npz
    mini-repr check mine.py:nt_xent --against infonce --variant nt_xent
    """
    from mini_repr.backend import keep_large_blocks

    keep_large_blocks()


if __name__ == "__main__":
    main()
