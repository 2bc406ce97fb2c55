"""Measure the claims whose stored result is missing or of an earlier experiment, and write the tables of the book.

    python scripts/run_claims.py                     those that need it, seeds on all cores
    python scripts/run_claims.py simsiam supcon      these, whether they need it or not
    python scripts/run_claims.py --table             measure nothing

The tables of the claims and of the losses stand in mini_repr/book/claims.md and losses.md, between two comment lines,
and a line of totals in README.md; tests hold them against the stored results and the declarations.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from mini_repr.book.chapters import FOLDER, TABLES, claims_totals, with_table
from mini_repr.claims.bench.keys import claim_keys
from mini_repr.claims.bench.results import all_stored, is_current


def written():
    """{file: the lines that stand between its two comments}: the chapters' tables and the README's line of totals."""
    chapters = {Path(str(FOLDER), f"{name}.md"): table() for name, table in TABLES.items()}
    return chapters | {Path(__file__).resolve().parents[1] / "README.md": claims_totals()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("keys", nargs="*", metavar="KEY", help="claims to measure; without, those that need it")
    parser.add_argument("--table", action="store_true", help="only write the tables")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="seeds at once")
    chosen = parser.parse_args()
    unknown = set(chosen.keys) - set(claim_keys())
    if unknown:
        parser.error(f"no claim {', '.join(sorted(unknown))}; there are {', '.join(claim_keys())}")
    needed = [key for key, result in all_stored().items() if not (result and is_current(key, result))]
    failed = []
    for key in [] if chosen.table else chosen.keys or needed:
        command = [sys.executable, "-m", "mini_repr.cli", "claim", key, "--record", "--jobs", str(chosen.jobs)]
        if subprocess.run(command).returncode:
            failed.append(key)
    for path, lines in written().items():
        path.write_text(with_table(path.read_text(encoding="utf-8"), lines), encoding="utf-8")
    sys.exit(f"not measured: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
