"""Run a file of golden vectors against any function, with Python and NumPy alone. Copy this file into your project.

    python read_vectors.py infonce-nt_xent.json my_losses.py:nt_xent [float32]

The function is called as function(**arrays, **params), params being all settings of the loss, and returns the value, or
(value, {argument: gradient}). Only cases whose result is "valid" are run: elsewhere the definition gives no number.
"""

import json
import runpy
import sys

import numpy as np


def decode(stored, dtype=np.float64):
    """An array, a hexadecimal number, or a word, flag or whole number as it stands."""
    if isinstance(stored, dict):
        is_float = stored["dtype"] == "float64"
        values = [float.fromhex(x) if is_float else int(x) for x in stored["data"].split()]
        return np.array(values, dtype=dtype if is_float else stored["dtype"]).reshape(stored["shape"])
    return float.fromhex(stored) if isinstance(stored, str) and stored.lstrip("-").startswith("0x") else stored


def failures(path, function, dtype="float64"):
    """Yield one line for every case in the file that ``function`` does not meet in that precision."""
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    for case in document["cases"]:
        if case["result"] != "valid":
            continue
        arrays = {name: decode(x, dtype) for name, x in case["inputs"].items()}
        params = {name: decode(x) for name, x in {**document["params"], **case["params"]}.items()}
        came = function(**arrays, **params)
        value, gradients = came if isinstance(came, tuple) else (came, {})
        parts = {"value": (value, decode(case["value"]), decode(case["tolerance"][dtype]["value"]))}
        for name, gradient in gradients.items():
            if name in case["zero_gradients"]:  # behind a stop-gradient: exactly zero
                parts[f"grad {name}"] = gradient, 0, 0
            elif "gradients" in case:  # elsewhere the definition has a kink
                allowed = decode(case["tolerance"][dtype][f"grad {name}"])
                parts[f"grad {name}"] = gradient, decode(case["gradients"][name]), allowed
        for part, (got, expected, allowed) in parts.items():
            error = np.abs(np.asarray(got) - expected).max()
            if not error <= allowed:
                yield f"{case['id']}: {part} is off by {error:.3g}, allowed {allowed:.3g}; {case['comment']}"


if __name__ == "__main__":
    place, name = sys.argv[2].rsplit(":", 1)
    lines = list(failures(sys.argv[1], runpy.run_path(place)[name], *sys.argv[3:]))
    print("\n".join(lines) or "all cases pass")
    sys.exit(1 if lines else 0)
