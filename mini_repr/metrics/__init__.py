"""Metrics of trained representations: arrays in, numbers out. ``METRICS`` lists them by name, with what each needs."""

from collections.abc import Callable
from dataclasses import dataclass

from mini_repr.metrics.alignment import alignment
from mini_repr.metrics.auc import auc
from mini_repr.metrics.curvature import curvature
from mini_repr.metrics.infonce_bound import infonce_bound
from mini_repr.metrics.knn import knn_accuracy
from mini_repr.metrics.lidar import lidar
from mini_repr.metrics.linear_probe import few_label_probe, linear_probe
from mini_repr.metrics.matrix_entropy import dime, matrix_entropy, prompt_entropy
from mini_repr.metrics.modality_gap import modality_gap, modality_separability
from mini_repr.metrics.neighbour_overlap import neighbour_overlap
from mini_repr.metrics.orthogonal_frame import orthogonal_frame
from mini_repr.metrics.patch_reconstruction import patch_reconstruction_loss
from mini_repr.metrics.ranks import dimension_std, effective_rank, rankme
from mini_repr.metrics.reconstruction_subspaces import reconstruction_alignment, subspace_probe
from mini_repr.metrics.retrieval import label_ndcg, mean_reciprocal_rank, ndcg, recall_at_k
from mini_repr.metrics.sparsity import expected_flops
from mini_repr.metrics.tolerance import tolerance
from mini_repr.metrics.uniformity import uniformity


@dataclass(frozen=True)
class Metric:
    """A metric, one line on what it measures, and its positional arguments in order.

    ``needs`` is one of "z", "z,labels", "a,b", "tokens,mask", "queries,candidates,relevance" and
    "train_z,train_labels,test_z,test_labels". A metric returns a float; ``few_label_probe`` returns (mean, std).
    ``most_rows``: above it the time, cubic in rows, is minutes: whoever computes all metrics leaves this one out.
    """

    function: Callable
    description: str
    needs: str
    most_rows: int | None = None


_SPLIT = "train_z,train_labels,test_z,test_labels"
METRICS = {
    metric.function.__name__: metric
    for metric in (
        Metric(knn_accuracy, "accuracy of the vote of the k nearest training rows", _SPLIT),
        Metric(linear_probe, "accuracy of logistic regression on frozen rows", _SPLIT),
        Metric(subspace_probe, "the same on the subspace of the top (or bottom) variance alone", _SPLIT),
        Metric(few_label_probe, "linear_probe with 10 labels a class: mean and deviation over draws", _SPLIT),
        Metric(alignment, "mean distance within positive pairs, 0 is best", "a,b"),
        Metric(recall_at_k, "share of rows whose partner is among the k nearest", "a,b"),
        Metric(mean_reciprocal_rank, "mean of 1 / rank of the partner", "a,b"),
        Metric(auc, "probability that a partner scores above another row", "a,b"),
        Metric(modality_gap, "distance between the centres of the two sides, 0 to 2", "a,b"),
        Metric(modality_separability, "accuracy of a plane between the two sides, 0.5 where they mix", "a,b"),
        Metric(neighbour_overlap, "share of nearest rows that both sets of rows agree on", "a,b"),
        Metric(infonce_bound, "share of the pairing that cosine similarities tell, at most 1", "a,b"),
        Metric(dime, "entropy lost when the pairing is shuffled, 0 where it tells nothing", "a,b", most_rows=1000),
        Metric(lidar, "effective rank of samples against their views, 1 to D", "a,b"),
        Metric(prompt_entropy, "spread of the words within a text, 0 to log min(T, D)", "tokens,mask"),
        Metric(curvature, "mean turn, in radians, of the path of a text's words", "tokens,mask"),
        Metric(matrix_entropy, "entropy of the spectrum of the rows, 0 to log min(N, D)", "z"),
        Metric(expected_flops, "multiplications to compare two sparse rows, D for dense ones", "z"),
        Metric(uniformity, "log energy between rows on the sphere, lower is more uniform", "z"),
        Metric(effective_rank, "exp entropy of the singular values, 1 to min(N, D)", "z"),
        Metric(rankme, "effective rank with RankMe's eps", "z"),
        Metric(dimension_std, "spread of unit rows by dimension: 1 uniform, 0 collapsed", "z"),
        Metric(tolerance, "mean similarity within classes", "z,labels"),
        Metric(orthogonal_frame, "distance of the class means from orthogonal ones of one length", "z,labels"),
        Metric(reconstruction_alignment, "what 8 reconstruction codes tell of the labels, of all there is", "z,labels"),
        Metric(label_ndcg, "gain of retrieving rows of the same class", "z,labels"),
        Metric(ndcg, "gain of retrieving candidates of graded relevance", "queries,candidates,relevance"),
    )
}

# Not among METRICS: it gives a map, not a number, and asks for patches before and after a projection.
__all__ = ["METRICS", "Metric", "patch_reconstruction_loss", *METRICS]
