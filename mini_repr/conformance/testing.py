"""For other projects' test suites: one assertion that an implementation is the loss it claims to be."""

from mini_repr.conformance.check import check
from mini_repr.conformance.report import CONFORMS


def assert_matches(
    implementation,
    against,
    framework=None,
    *,
    variant=None,
    mapping=None,
    constants=None,
    values_only=False,
    detached=(),
    strict=True,
    **settings,
):
    """Assert that a callable computes a loss of this package, in value and gradient, on its whole battery of cases.

        from mini_repr.conformance import assert_matches

        def test_nt_xent():
            assert_matches(my_nt_xent, "infonce", framework="torch", negatives="views", mapping={"temperature": "tau"})

    Args:
        implementation: function, instance or class; or text as for ``mini-repr check``.
        against: name of the loss. framework: torch, jax or numpy; found out if None.
        variant, settings: of the loss. mapping: {argument of the loss: parameter of the callable}.
        constants: {parameter of the callable: value}. values_only, detached: as in ``check``.
        strict: also at the end of what is defined (zero rows, a class of one, ...).
    Raises:
        AssertionError: it does not; the message has the verdict, what it computes instead where that has a name, the
            failing cases and the smallest of them as arrays to paste.
        ValueError: names or settings that do not exist, or a callable that cannot be checked.
    """
    report = check(
        implementation,
        against,
        variant=variant,
        settings=settings,
        mapping=mapping,
        constants=constants,
        framework=framework,
        values_only=values_only,
        detached=detached,
    )
    passes = report.exit_code == CONFORMS or (not strict and all("edge" in r.case.flags for r in report.rows if r.bad))
    if not passes:
        raise AssertionError(report.text())
