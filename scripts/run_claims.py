"""Measure the claims whose stored result is missing or of an earlier experiment, and write the README's table.

    python scripts/run_claims.py                     those that need it, seeds on all cores
    python scripts/run_claims.py simsiam supcon      these, whether they need it or not
    python scripts/run_claims.py --table             measure nothing

The table stands in README.md between two comment lines; a test holds it against the stored results.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from mini_repr.catalogue import paper
from mini_repr.claims.bench.keys import claim_keys
from mini_repr.claims.bench.report import deciding
from mini_repr.claims.bench.results import all_stored, is_current

README = Path(__file__).resolve().parents[1] / "README.md"
START, END = "<!-- claims: written by scripts/run_claims.py -->", "<!-- end of claims -->"
HEADER = ["| paper | claim | verdict | what decides it | seeds |", "|---|---|---|---|---|"]


def with_table(text):
    """The README's text with the table of the stored results in its place."""
    before, _, rest = text.partition(START)
    after = rest.partition(END)[2]
    rows = [_row(key, result) for key, result in all_stored().items() if result]
    return "\n".join([before + START, *HEADER, *rows, END]) + after


def _row(key, result):
    file = f"[{key}](mini_repr/claims/{key}.py)"
    cells = [f"{paper(key).number} {file}", result["says"], result["verdict"], deciding(result), str(result["seeds"])]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("keys", nargs="*", metavar="KEY", help="claims to measure; without, those that need it")
    parser.add_argument("--table", action="store_true", help="only write the table")
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
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(f"not measured: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
