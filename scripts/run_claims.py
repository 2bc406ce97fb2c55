"""Run the claims and write the README's table of them.

    python scripts/run_claims.py                     all, about half an hour on 2 cores
    python scripts/run_claims.py simsiam supcon      some; the rows of the others stay
    python scripts/run_claims.py --results claims    keep each claim's JSON in a folder, and reuse what is there

Each claim runs as its own command, ``mini-repr claim KEY``, one core each. The table stands in README.md between two
comment lines; a row of a claim that does not hold says so.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mini_repr.claims.bench.claim import spread
from mini_repr.claims.bench.keys import claim_keys

README = Path(__file__).resolve().parents[1] / "README.md"
START, END = "<!-- claims: written by scripts/run_claims.py -->", "<!-- end of claims -->"
HEADER = ["| paper | claim | numbers, mean ± deviation over seeds | verdict | command |", "|---|---|---|---|---|"]


def result_of(key, folder):
    """The result of a claim from its file in ``folder``, run first where there is none."""
    path = folder / f"{key}.json"
    if not path.exists():
        print(f"{key} ...", flush=True)
        command = [sys.executable, "-m", "mini_repr.cli", "claim", key, "--out", str(path)]
        one_core = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=one_core)
        if done.returncode:
            print(f"{key}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return None
    return json.loads(path.read_text(encoding="utf-8"))


def row_of(key, result):
    """One line of the table: the numbers that the expectations speak of, and each verdict where they differ."""
    numbers = []
    for arm, measures in result["arms"].items():
        spoken = [m for m in measures if any(e["says"].startswith(f"{m}: ") for e in result["expects"])]
        if spoken:
            numbers.append(f"{arm}: " + ", ".join(f"{m} {spread(measures[m])}" for m in spoken))
    verdict = result["verdict"]
    if verdict != "holds":
        parts = [f"{e['says']}: {e['verdict']}" for e in result["expects"]]
        verdict += f" ({'; '.join(parts)})" if len(parts) > 1 else ""
    cells = [f"{result['paper']} {key}", result["says"], "; ".join(numbers), verdict, f"`mini-repr claim {key}`"]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def write_table(rows):
    """Put rows {key: line} into the README, those of other keys staying."""
    before, _, rest = README.read_text(encoding="utf-8").partition(START)
    old, _, after = rest.partition(END)
    known = [line for line in old.splitlines() if line[2:5].isdecimal()]
    lines = {line.split("|")[1].split()[1]: line for line in known} | rows
    ordered = sorted(lines.values(), key=lambda line: line[2:5])
    README.write_text("\n".join([before + START, *HEADER, *ordered, END]) + after, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("keys", nargs="*", metavar="KEY", help="claims to run; all without")
    parser.add_argument("--results", metavar="FOLDER", help="where the JSON of each claim stands and goes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="claims at once")
    chosen = parser.parse_args()
    unknown = set(chosen.keys) - set(claim_keys())
    if unknown:
        parser.error(f"no claim {', '.join(sorted(unknown))}; there are {', '.join(claim_keys())}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(chosen.results or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        keys = chosen.keys or claim_keys()
        with ThreadPoolExecutor(chosen.jobs) as pool:
            results = dict(zip(keys, pool.map(lambda key: result_of(key, folder), keys), strict=True))
    rows = {key: row_of(key, result) for key, result in results.items() if result}
    write_table(rows)
    print("\n".join(HEADER + list(rows.values())))
    sys.exit(len(rows) < len(results))


if __name__ == "__main__":
    main()
