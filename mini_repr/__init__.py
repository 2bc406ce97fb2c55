"""mini_repr: an executable specification of representation learning."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mini_repr.training.learner import RepresentationLearner as RepresentationLearner
    from mini_repr.training.loaded import load_run as load_run

__version__ = "0.2.0"


def __getattr__(name):
    """What training needs is imported when it is asked for: a loss alone needs none of it."""
    if name == "load_run":
        from mini_repr.training.loaded import load_run

        return load_run
    if name == "RepresentationLearner":
        from mini_repr.training.learner import RepresentationLearner

        return RepresentationLearner
    raise AttributeError(f"module 'mini_repr' has no attribute {name!r}")


def __dir__():
    return [*globals(), "RepresentationLearner", "load_run"]
