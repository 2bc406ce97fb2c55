"""How a command line answers mistakes: one line, exit code 2, and the nearest known name."""

import functools
import sys

import click

WRONG_USE, INTERRUPTED = 2, 130


def plain_errors(command):
    """Turn a user's mistake into one line and exit code 2, and a diverged run into one line and exit code 1."""

    @functools.wraps(command)
    def guarded(*args, **params):
        try:
            return command(*args, **params)
        except (ValueError, OSError) as error:
            _fail(error, WRONG_USE)
        except MemoryError as error:
            from mini_repr.backend import out_of_memory

            if not out_of_memory(error):
                raise
            _fail(out_of_memory(error), WRONG_USE)
        except RuntimeError as error:
            from mini_repr.training.run import Diverged

            if not isinstance(error, Diverged):
                raise
            _fail(error, 1)

    return guarded


def _fail(error, code):
    text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
    click.echo(f"Error: {' '.join(text.split())}", err=True)
    sys.exit(code)


class NearestName(click.Group):
    """A group that answers an unknown command with the nearest known one."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # during the imports of a command too
            click.echo("Stopped", err=True)
            sys.exit(INTERRUPTED)

    def resolve_command(self, ctx, args):
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            if near and "Did you mean" not in error.format_message():  # click suggests by itself from 8.5 on
                error.message += f" Did you mean {near[0]!r}?"
            raise
