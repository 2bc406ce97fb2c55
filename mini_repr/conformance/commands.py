"""`mini-repr check`, `vectors` and `precision`: commands that ``cli.py`` attaches. Imports stand inside them."""

import json
import sys

import click

DIFFERS = 1


def attach(main, plain_errors):
    """Add the commands to the group ``main``; ``plain_errors`` turns a user's mistake into one line and exit code 2."""

    @main.group(short_help="Write and re-check golden vectors.")
    def vectors():
        """Write and re-check golden vectors: inputs with certified values and gradients."""

    @vectors.command()
    @click.option("--out", required=True, metavar="DIR", help="A new or an empty folder.")
    @click.option("--loss", "name", metavar="NAME", help="Only this loss. Default: all.")
    @plain_errors
    def export(out, name):
        """Write one JSON file per loss and variant, their schema and SHA256SUMS into DIR.

        \b
        mini-repr vectors export --out vectors
        mini-repr vectors export --out vectors --loss infonce
        """
        from mini_repr.conformance.vectors import export

        names = export(out, name)
        click.echo(f"{out}: {sum(n.endswith('.json') and n != 'schema.json' for n in names)} files of vectors")

    @vectors.command()
    @click.argument("folder", metavar="DIR")
    @plain_errors
    def verify(folder):
        """Compute the set in DIR again and say what changed; exit code 1 if anything did.

        \b
        mini-repr vectors verify vectors
        """
        from mini_repr.conformance.vectors import verify

        changes = verify(folder)
        for line in changes:
            click.echo(line)
        click.echo(f"{folder}: {f'changes: {len(changes)}' if changes else 'as this version computes it'}")
        sys.exit(DIFFERS if changes else 0)

    @main.command(short_help="Error of a loss in float32 and from half-precision inputs.")
    @click.argument("name")
    @click.option("--variant", metavar="NAME", help="A named variant of the loss; see `mini-repr show NAME`.")
    @click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON; null is overflow.")
    @plain_errors
    def precision(name, variant, as_json):
        """Error of loss NAME in float32 and from half-precision inputs, against certified values.

        \b
        mini-repr precision infonce
        mini-repr precision infonce --variant nt_xent --json
        """
        from mini_repr.conformance import precision as measured
        from mini_repr.pages.names import choose, find_loss

        loss = find_loss(name)
        settings = loss.variants[choose("variant", variant, loss.variants)].settings if variant else None
        result = measured.measure(loss, settings)
        click.echo(json.dumps(measured.as_json(result), indent=2) if as_json else measured.table(result))

    @main.command("check", short_help="Hold your implementation of a loss against its page.")
    @click.argument("target", required=False)
    @click.option("--against", metavar="LOSS", help="The page to hold it against.")
    @click.option("--variant", metavar="NAME", help="A named variant of the loss; `mini-repr show LOSS` lists them.")
    @click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="NAME=VALUE",
        help="A setting of the loss to compare at; also goes to your parameter of that name. A NAME that is no setting "
        "of the loss is a constant for your callable. Repeatable.",
    )
    @click.option(
        "--const",
        "constants",
        multiple=True,
        metavar="NAME=VALUE",
        help="A constant for your callable only; repeatable.",
    )
    @click.option("--map", "mapping", metavar="LIST", help="ARGUMENT=YOURS,...: which of your parameters takes which.")
    @click.option("--framework", metavar="NAME", help="torch, jax or numpy. Default: seen from your code.")
    @click.option("--values-only", is_flag=True, help="Compare values, not gradients.")
    @click.option("--detached", metavar="LIST", help="Targets that your training code detaches before the call.")
    @click.option(
        "--ranks",
        type=click.IntRange(2, 64),
        metavar="W",
        help="Check the loss of one rank on W virtual ranks, see above.",
    )
    @click.option("--mutants", is_flag=True, help="Check the known slips of public code instead; print the kill table.")
    @click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
    @plain_errors
    def check(target, against, variant, assignments, constants, mapping, detached, mutants, as_json, **options):
        """Hold your implementation TARGET against a loss page; where they differ, say what yours computes.

        \b
        mini-repr check mine.py:nt_xent --against infonce --variant nt_xent
        mini-repr check my.package:SupConLoss --against supcon --map z=features,temperature=tau
        mini-repr check mine.py:ntx --against infonce --set temperature=0.5 --const eps=1e-8
        mini-repr check results.npz --against infonce      compares values computed elsewhere
        mini-repr check mine.py:local --against infonce --ranks 4
        mini-repr check --against infonce --ranks 4        what the common schemes do to the gradient
        mini-repr check --mutants

        TARGET is FILE.py:NAME or MODULE:NAME: a function, an instance, or a class to be made without arguments. It
        takes and returns PyTorch tensors, JAX arrays or NumPy arrays; gradients come from PyTorch or JAX, and from a
        NumPy callable that returns (value, {name: gradient}) or (value, (gradient, ...)).

        Arrays are matched by name where yours has all the loss's names, else by position. Numbers of the loss
        (temperature, margin, weights) go to your parameters of those names; one that yours does not take is compared
        at --set, else at your instance's attribute of that name, else at the page's default. Words and flags go only
        where --set or --variant chooses them.

        results.npz holds what you computed on the cases of `mini-repr vectors export`: CASE/value and CASE/grad_NAME.

        With --ranks, TARGET takes (local arrays ..., gathered arrays ..., rank), such as f(a, b, all_a, all_b, rank),
        and returns the loss of that rank.

        \b
        Exit code 0: conforms. 1: does not. 2: wrong use, or it cannot be called.
        3: conforms but at the end of what is defined (zero rows, a class of one ...); the report says where.
        """
        from mini_repr.conformance import session

        if mutants:
            code, text = session.mutants(as_json)
        elif against and not target and options["ranks"]:
            code, text = session.factors(against, options["ranks"], variant, assignments)
        elif not target or not against:
            raise click.UsageError("expected TARGET --against LOSS, such as mine.py:nt_xent --against infonce")
        else:
            code, text = session.run(
                target, against, variant, assignments, constants, mapping, detached, as_json, **options
            )
        click.echo(text)
        sys.exit(code)
