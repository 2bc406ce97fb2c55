"""mini_repr: an executable specification of representation learning."""

__version__ = "0.1.0"


def __getattr__(name):
    if name == "load_run":
        from mini_repr.training.loaded import load_run

        return load_run
    raise AttributeError(f"module 'mini_repr' has no attribute {name!r}")
