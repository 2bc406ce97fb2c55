"""What opinion_shortfall alone promises: naive loops."""

import math


def loops(scores):
    total = 0.0
    for row in scores:
        weights = [math.exp(v - max(row)) for v in row]
        total += len(row) - sum((b + 1) * w for b, w in enumerate(weights)) / sum(weights)
    return float(total / len(scores))
