"""The scores of a report as aligned text."""

from mini_repr.pages.tables import numbers
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
    "probe_few": f"{LABELS_A_CLASS} a class",
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


def table(scores, width=None):
    """The scores as aligned text, one row per representation; "-" where only others have a number.

    Args:
        width: of the lines, by default of the terminal.
    """
    shown = [c for c in COLUMNS if any(c in row for row in scores.values())]
    rows = [["", *(COLUMNS[c] for c in shown)]]
    for name, row in scores.items():
        rows.append([name, *(cell(row, column) for column in shown)])
    return numbers(rows, width)


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
