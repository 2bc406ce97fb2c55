"""Metrics of trained representations: arrays in, numbers out. ``METRICS`` lists them by name, with what each needs."""

from collections.abc import Callable
from dataclasses import dataclass

from mini_repr.metrics.alignment import alignment
from mini_repr.metrics.knn import knn_accuracy
from mini_repr.metrics.linear_probe import few_label_probe, linear_probe
from mini_repr.metrics.ranks import dimension_std, effective_rank, rankme
from mini_repr.metrics.retrieval import label_ndcg, mean_reciprocal_rank, ndcg, recall_at_k
from mini_repr.metrics.tolerance import tolerance
from mini_repr.metrics.uniformity import uniformity


@dataclass(frozen=True)
class Metric:
    """A metric, one line on what it measures, and its positional arguments in order.

    ``needs`` is one of "z", "z,labels", "a,b", "queries,candidates,relevance" and
    "train_z,train_labels,test_z,test_labels". A metric returns a float; ``few_label_probe`` returns (mean, std).
    """

    function: Callable
    description: str
    needs: str


_SPLIT = "train_z,train_labels,test_z,test_labels"
METRICS = {
    metric.function.__name__: metric
    for metric in (
        Metric(knn_accuracy, "accuracy of the vote of the k nearest training rows", _SPLIT),
        Metric(linear_probe, "accuracy of logistic regression on frozen rows", _SPLIT),
        Metric(few_label_probe, "the same with 10 labels a class: mean and deviation over draws", _SPLIT),
        Metric(alignment, "mean distance within positive pairs, 0 is best", "a,b"),
        Metric(recall_at_k, "share of rows whose partner is among the k nearest", "a,b"),
        Metric(mean_reciprocal_rank, "mean of 1 / rank of the partner", "a,b"),
        Metric(uniformity, "log energy between rows on the sphere, lower is more uniform", "z"),
        Metric(effective_rank, "exp entropy of the singular values, 1 to min(N, D)", "z"),
        Metric(rankme, "effective rank with RankMe's eps", "z"),
        Metric(dimension_std, "spread of unit rows by dimension: 1 uniform, 0 collapsed", "z"),
        Metric(tolerance, "mean similarity within classes", "z,labels"),
        Metric(label_ndcg, "gain of retrieving rows of the same class", "z,labels"),
        Metric(ndcg, "gain of retrieving candidates of graded relevance", "queries,candidates,relevance"),
    )
}

__all__ = ["METRICS", "Metric", *METRICS]
