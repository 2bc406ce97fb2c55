# Written by scripts/stubs.py from the declarations.
from typing import Any, Literal, Protocol, TypeAlias

class SupportsDLPack(Protocol):
    def __dlpack__(self, *args: Any, **params: Any) -> Any: ...

Array: TypeAlias = SupportsDLPack

def alignment(
    a: Array,
    b: Array,
    alpha: float = 2.0,
) -> Any: ...
def anisotropy(
    z: Array,
) -> Any: ...
def auc(
    a: Array,
    b: Array,
) -> Any: ...
def best_jaccard(
    groups: Array,
    labels: Array,
) -> Any: ...
def coding_rate(
    tokens: Array,
    heads: int = 1,
    epsilon: float = 0.1,
    normalize: bool = True,
) -> Any: ...
def curvature(
    tokens: Array,
    mask: Array | None = None,
    of: Literal["steps", "states"] = "steps",
) -> Any: ...
def dime(
    a: Array,
    b: Array,
    alpha: float = 1.0,
    permutations: int = 10,
    seed: int = 0,
) -> Any: ...
def dimension_std(
    z: Array,
) -> Any: ...
def effective_rank(
    z: Array,
) -> Any: ...
def energy_distance(
    a: Array,
    b: Array,
) -> Any: ...
def expected_flops(
    z: Array,
) -> Any: ...
def few_label_probe(
    train_z: Array,
    train_labels: Array,
    test_z: Array,
    test_labels: Array,
    per_class: int = 10,
    draws: int = 5,
    seed: int = 0,
    l2: float = 1.0,
) -> Any: ...
def infonce_bound(
    a: Array,
    b: Array,
    temperature: float = 0.1,
) -> Any: ...
def input_recovery(
    rows: Array,
    table: Array,
    words: Array,
    top: int = 1,
) -> Any: ...
def isotropy(
    z: Array,
    share: float = 0.9,
) -> Any: ...
def knn_accuracy(
    train_z: Array,
    train_labels: Array,
    test_z: Array,
    test_labels: Array,
    k: int = 20,
    temperature: float | None = 0.07,
) -> Any: ...
def label_ndcg(
    z: Array,
    labels: Array,
    k: int | None = None,
) -> Any: ...
def lidar(
    a: Array,
    b: Array,
    more: Array | None = None,
    delta: float = 0.0001,
) -> Any: ...
def linear_probe(
    train_z: Array,
    train_labels: Array,
    test_z: Array,
    test_labels: Array,
    l2: float = 1.0,
) -> Any: ...
def matrix_entropy(
    z: Array,
    alpha: float = 1.0,
    normalize: bool = False,
) -> Any: ...
def mean_iou(
    predicted: Array,
    labels: Array,
) -> Any: ...
def mean_reciprocal_rank(
    a: Array,
    b: Array,
) -> Any: ...
def modality_gap(
    a: Array,
    b: Array,
) -> Any: ...
def modality_separability(
    a: Array,
    b: Array,
) -> Any: ...
def ndcg(
    queries: Array,
    candidates: Array,
    relevance: Array,
    k: int | None = None,
) -> Any: ...
def neighbour_overlap(
    a: Array,
    b: Array,
    k: int = 10,
    normalize: bool = True,
) -> Any: ...
def orthogonal_frame(
    z: Array,
    labels: Array,
) -> Any: ...
def patch_reconstruction_loss(
    train_patches: Array,
    train_projected: Array,
    test_patches: Array,
    test_projected: Array,
    hidden: int = 128,
    layers: int = 3,
    steps: int = 1000,
    batch: int = 32,
    lr: float = 0.001,
    seed: int = 0,
) -> Any: ...
def position_information(
    scores: Array,
) -> Any: ...
def prompt_entropy(
    tokens: Array,
    mask: Array | None = None,
    alpha: float = 1.0,
    normalize: bool = False,
) -> Any: ...
def rank_agreement(
    a: Array,
    b: Array,
    similarity: Array,
) -> Any: ...
def rankme(
    z: Array,
    eps: float = 1e-07,
) -> Any: ...
def recall_at_k(
    a: Array,
    b: Array,
    k: int = 1,
) -> Any: ...
def reconstruction_alignment(
    z: Array,
    labels: Array,
    dimensions: int = 8,
    noise: Literal["none", "additive", "masking"] = "none",
    strength: float = 0.0,
    patches: Array | None = None,
) -> Any: ...
def singular_entropy(
    weight: Array,
) -> Any: ...
def subclass_share(
    z: Array,
    classes: Array,
    subclasses: Array,
) -> Any: ...
def subspace_probe(
    train_z: Array,
    train_labels: Array,
    test_z: Array,
    test_labels: Array,
    share: float = 0.75,
    part: Literal["top", "bottom"] = "top",
    l2: float = 1.0,
) -> Any: ...
def tolerance(
    z: Array,
    labels: Array,
) -> Any: ...
def topic_coherence(
    topics: Array,
    counts: Array,
    top: int = 10,
) -> Any: ...
def topic_diversity(
    topics: Array,
    top: int = 25,
) -> Any: ...
def uniformity(
    z: Array,
    t: float = 2.0,
) -> Any: ...
