"""The stored results of the claims: ``claims/results/KEY.json``, written by ``mini-repr claim KEY --record`` alone.

A stored result is what ``run`` returned, with where it was measured and a digest of the experiment. The digest leaves
out the text at the head of the claim's file, so that a sentence can be mended without measuring again.
"""

import ast
import hashlib
import json
import os
from importlib import resources
from pathlib import Path

import mini_repr
from mini_repr.catalogue import paper
from mini_repr.claims.bench.keys import claim_keys

FOLDER = Path(str(resources.files("mini_repr") / "claims" / "results"))


def stored(key):
    """The stored result of a claim, or None where there is none."""
    path = path_of(key)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def all_stored():
    """{key: stored result or None} of all claims, in order of the papers' numbers."""
    return {key: stored(key) for key in claim_keys()}


def path_of(key):
    """Where the result of the claim of this paper (key or number) is stored."""
    return FOLDER / f"{paper(key).key}.json"


def recorded(key, result, threads):
    """The result with what makes it evidence: the version, how many threads each seed had, and the digest."""
    return result | {"version": mini_repr.__version__, "threads": threads, "digest": digest_of(key)}


def refuse_unwritable():
    """An error before the minutes of a measurement whose result could not be stored.

    Raises:
        ValueError: the package's folder cannot be written.
    """
    FOLDER.mkdir(exist_ok=True)
    if not os.access(FOLDER, os.W_OK):
        raise ValueError(f"claim --record: {FOLDER} cannot be written; use --out FILE.json, or a checkout of your own")


def write(key, result):
    """Store a recorded result, whole or not at all."""
    path = path_of(key)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def is_current(key, result):
    """Whether a stored result was measured by the experiment as it stands."""
    return result["digest"] == digest_of(key)


def digest_of(key):
    """SHA-256 of the claim's file without the text at its head, in hexadecimal digits."""
    source = resources.files("mini_repr").joinpath("claims", f"{paper(key).key}.py").read_text(encoding="utf-8")
    head = ast.parse(source).body[0]
    body = source.splitlines()[head.end_lineno if _is_text(head) else 0 :]
    return hashlib.sha256("\n".join(body).encode()).hexdigest()


def _is_text(statement):
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
