"""The scores of a report as aligned text."""

from mini_repr.training.report import LABELS_A_CLASS, NEIGHBOURS

COLUMNS = {
    "recall_1": "recall@1",
    "recall_10": "recall@10",
    "reciprocal_rank": "MRR",
    "rank_agreement": "Spearman",
    "caption": "caption",
    "patch": "patch",
    "mean_iou": "mean IoU",
    "jaccard": "Jaccard",
    "knn": f"{NEIGHBOURS}-nn",
    "probe": "probe",
    "probe_few": f"probe, {LABELS_A_CLASS} a class",
    "matrix_entropy": "entropy",
    "prompt_entropy": "token entropy",
    "curvature": "curvature",
    "coding_rate": "coding rate",
    "zeros": "zeros",
    "infonce_bound": "InfoNCE",
    "lidar": "LiDAR",
    "dime": "DiME",
    "auc": "AUC",
    "log_loss": "log loss",
    "alignment": "alignment",
    "uniformity": "uniformity",
    "effective_rank": "eff. rank",
    "dimensions": "dims",
}


def table(scores):
    """The scores as aligned text, one row per representation; "-" where only others have a number."""
    shown = [c for c in COLUMNS if any(c in row for row in scores.values())]
    rows = [["", *(COLUMNS[c] for c in shown)]]
    for name, row in scores.items():
        rows.append([name, *(cell(row, column) for column in shown)])
    return aligned(rows)


def aligned(rows):
    """Rows of strings as lines, the first column to the left and the others to the right."""
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join("  ".join([row[0].ljust(first), *map(str.rjust, row[1:], others)]) for row in rows)


def cell(row, column):
    """One number of a row of scores as text; "-" where it has none."""
    if column not in row:
        return "-"
    value = row[column]
    if column == "probe_few":
        return f"{value:.3f} ± {row['probe_few_deviation']:.3f}"
    if column == "dimensions":
        return str(value)
    return f"{value:.1f}" if column in ("effective_rank", "lidar") else f"{value:.3f}"
