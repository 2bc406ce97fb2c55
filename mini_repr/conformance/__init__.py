"""Compare anyone's implementation of a loss with its page: cases, exact values, golden vectors, the check."""


def __getattr__(name):
    """``assert_matches``, imported when it is asked for: the command line must start without NumPy."""
    if name == "assert_matches":
        from mini_repr.conformance.testing import assert_matches

        return assert_matches
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
