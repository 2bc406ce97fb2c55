"""Numbers and arrays as text, exact and easy to compare: C99 hexadecimal floating-point numbers."""

import numpy as np

_READ = {"float64": float.fromhex, "int64": int, "bool": int}


def encode(value):
    """Arrays as {"shape", "dtype", "data": "0x1.8p+0 ..."}, a float as one hexadecimal string, the rest as it is."""
    if isinstance(value, np.ndarray) and value.ndim:
        write = _hex if value.dtype.kind == "f" else lambda x: str(int(x))
        data = " ".join(write(x) for x in value.ravel().tolist())
        return {"shape": list(value.shape), "dtype": str(value.dtype), "data": data}
    if isinstance(value, float | np.floating | np.ndarray):
        return _hex(float(value))
    return value


def decode(stored):
    """What ``encode`` encoded; strings that are no hexadecimal numbers stay."""
    if isinstance(stored, dict):
        if stored["dtype"] not in _READ:
            raise ValueError(f"dtype: got {stored['dtype']!r}, expected one of {', '.join(_READ)}")
        values = [_READ[stored["dtype"]](word) for word in stored["data"].split()]
        return np.array(values, dtype=stored["dtype"]).reshape(stored["shape"])
    is_number = isinstance(stored, str) and stored.removeprefix("-").startswith("0x")
    return float.fromhex(stored) if is_number else stored


def _hex(x):
    """0x1.8p+0: ``float.hex`` without the zeros at the end of the fraction."""
    digits, power = x.hex().split("p")
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits}p{power}"
