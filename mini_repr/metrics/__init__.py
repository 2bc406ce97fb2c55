"""Metrics of trained representations, one page each: arrays in, numbers out. ``pages_of("metric")`` lists them."""

from mini_repr.metrics.alignment import alignment
from mini_repr.metrics.auc import auc
from mini_repr.metrics.coding_rate import coding_rate
from mini_repr.metrics.curvature import curvature
from mini_repr.metrics.energy_distance import energy_distance
from mini_repr.metrics.head_spectrum import anisotropy, singular_entropy
from mini_repr.metrics.infonce_bound import infonce_bound
from mini_repr.metrics.input_recovery import input_recovery
from mini_repr.metrics.isotropy import isotropy
from mini_repr.metrics.knn import knn_accuracy
from mini_repr.metrics.lidar import lidar
from mini_repr.metrics.linear_probe import few_label_probe, linear_probe
from mini_repr.metrics.matrix_entropy import dime, matrix_entropy, prompt_entropy
from mini_repr.metrics.modality_gap import modality_gap, modality_separability
from mini_repr.metrics.neighbour_overlap import neighbour_overlap
from mini_repr.metrics.orthogonal_frame import orthogonal_frame
from mini_repr.metrics.patch_reconstruction import patch_reconstruction_loss
from mini_repr.metrics.position_information import position_information
from mini_repr.metrics.rank_agreement import rank_agreement
from mini_repr.metrics.ranks import dimension_std, effective_rank, rankme
from mini_repr.metrics.reconstruction_subspaces import reconstruction_alignment, subspace_probe
from mini_repr.metrics.retrieval import label_ndcg, mean_reciprocal_rank, ndcg, recall_at_k
from mini_repr.metrics.segmentation import best_jaccard, mean_iou
from mini_repr.metrics.sparsity import expected_flops
from mini_repr.metrics.subclass_share import subclass_share
from mini_repr.metrics.tolerance import tolerance
from mini_repr.metrics.topics import topic_coherence, topic_diversity
from mini_repr.metrics.uniformity import uniformity
