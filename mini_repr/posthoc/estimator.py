"""Procedures that are fitted to rows, with the manners of scikit-learn; what was fitted is also a file.

See ``manners.py`` for the manners, ``save`` and ``load_fitted`` for the files.
"""

import json

import numpy as np

from mini_repr.backend import backend_of, is_array
from mini_repr.pages.names import find
from mini_repr.pages.page import Page
from mini_repr.pages.registry import register
from mini_repr.posthoc.manners import Manners


def estimator(name, paper=()):
    """Declare and register a procedure with fit and transform under the name that users type."""

    def declare(cls):
        cls.page = register(Page("procedure", cls, paper, name=name))
        return cls

    return declare


class Estimator(Manners):
    """Base: settings that its page checks, fitted attributes, files. A subclass has ``fit``."""

    def checked_settings(self):
        """{setting: value}, each checked against its annotation.

        Raises:
            ValueError: naming the procedure, the setting, what came and what was expected.
        """
        return self.page.checked(self.get_params())

    def save(self, path):
        """Write settings and everything fitted to an npz file, which ``load_fitted`` reads."""
        with open(path, "wb") as file:
            np.savez(
                file,
                procedure=np.array(self.page.name),
                settings=np.array(json.dumps(self.checked_settings())),
                **{name.removesuffix("_"): _on_host(value) for name, value in self._require_fitted().items()},
            )

    def _require_fitted(self):
        """What is fitted.

        Raises:
            ValueError: nothing is yet.
        """
        if not self._fitted():
            raise ValueError(f"{self.page.name}: got rows before fit, expected fit first")
        return self._fitted()


def _on_host(value):
    return backend_of(value).to_numpy(value) if is_array(value) else np.asarray(value)


def load_fitted(arrays, path):
    """The fitted procedure in the arrays of a file that ``save`` wrote.

    Raises:
        ValueError: other arrays.
    """
    if "procedure" not in arrays or "settings" not in arrays:
        raise ValueError(f"{path}: holds {', '.join(arrays) or 'nothing'}, expected what a procedure's --out wrote")
    made = find("procedure", str(arrays["procedure"])).thing(**json.loads(str(arrays["settings"])))
    for name in arrays.keys() - {"procedure", "settings"}:
        setattr(made, f"{name}_", arrays[name] if arrays[name].ndim else arrays[name].item())
    return made


def rows_of(procedure, argument, value, width=None):
    """Rows (N, D) as float64 on the host.

    Raises:
        ValueError: none, not finite, or of another width than was fitted.
    """
    wanted = f"finite float32 or float64 rows (N, {'D' if width is None else width})"
    if not is_array(value) or value.ndim != 2 or value.dtype not in ("float32", "float64") or not value.size:
        got = f"{value.dtype} of shape {value.shape}" if is_array(value) else type(value).__name__
        raise ValueError(f"{procedure}: {argument}: got {got}, expected {wanted}")
    rows = backend_of(value).to_numpy(value).astype(np.float64)
    if width is not None and rows.shape[1] != width:
        raise ValueError(f"{procedure}: {argument}: got shape {rows.shape}, expected {wanted}")
    if not np.isfinite(rows).all():
        raise ValueError(f"{procedure}: {argument}: got NaN or infinity, expected {wanted}")
    return rows


def labels_of(procedure, argument, value, count, least=2):
    """Whole-number labels (N,) on the host, of ``least`` classes or more.

    Raises:
        ValueError: anything else.
    """
    value = np.asarray(backend_of(value).to_numpy(value) if is_array(value) else value)
    if value.shape != (count,) or value.dtype.kind not in "iub":
        got = f"{value.dtype} of shape {value.shape}"
        raise ValueError(f"{procedure}: {argument}: got {got}, expected whole numbers ({count},), one per row")
    if len(np.unique(value)) < least:
        raise ValueError(f"{procedure}: {argument}: got one class, expected {least} or more")
    return value.astype(np.int64)
