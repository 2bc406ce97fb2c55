"""The libraries that the book and reports are made with: the extra ``book``."""

from importlib.util import find_spec

NEEDED = ("jinja2", "pygments", "matplotlib", "math_core", "markdown_it")


def require_extra(command):
    """Nothing, where all are installed.

    Raises:
        ValueError: some are not; says how to install them.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ValueError(f"{command}: needs {', '.join(missing)}: pip install 'mini-repr[book]'")
