"""Check anyone's implementation of a loss against its page: cases, exact values, vectors, the check."""

from mini_repr.conformance.testing import assert_matches
