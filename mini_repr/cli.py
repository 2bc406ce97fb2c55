"""The command line ``mini-repr``: one group, to which every file of ``commands/`` gives its command."""

import click

import mini_repr
from mini_repr.commands.check import check
from mini_repr.commands.claim import claim
from mini_repr.commands.embed import embed
from mini_repr.commands.errors import NearestName
from mini_repr.commands.evaluate import evaluate
from mini_repr.commands.list import list_everything
from mini_repr.commands.losses_value import losses
from mini_repr.commands.metrics import metrics
from mini_repr.commands.precision import precision
from mini_repr.commands.show import show
from mini_repr.commands.train import train
from mini_repr.commands.vectors import vectors


@click.group(cls=NearestName, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(mini_repr.__version__, "--version", prog_name="mini-repr")
def main():
    """Representation learning, each loss one readable page with a hand-derived gradient.

    \b
    mini-repr train --loss infonce            train on the embedded digits, about a minute
    mini-repr show infonce                    read the page of a loss
    mini-repr list                            what there is
    mini-repr losses value infonce --input arrays.npz
    mini-repr check mine.py:nt_xent --against infonce --variant nt_xent
    """


for command in (train, evaluate, embed, metrics, list_everything, show, claim, losses, check, vectors, precision):
    main.add_command(command)


if __name__ == "__main__":
    main()
