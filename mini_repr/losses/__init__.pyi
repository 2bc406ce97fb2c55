# Written by scripts/stubs.py from the declarations.
from collections.abc import Callable
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypeAlias

from mini_repr.autograd import Tensor

class SupportsDLPack(Protocol):
    def __dlpack__(self, *args: Any, **params: Any) -> Any: ...

Array: TypeAlias = Tensor | SupportsDLPack
_P = ParamSpec("_P")

class Loss(Generic[_P]):
    """A loss: call it on tensors, or ask for value and gradients of plain arrays."""

    name: str
    def __call__(self, *args: _P.args, **params: _P.kwargs) -> Tensor: ...
    def value_and_grad(self, *args: _P.args, **params: _P.kwargs) -> tuple[Any, dict[str, Any]]: ...
    def definition(self, *args: _P.args, **params: _P.kwargs) -> Tensor: ...
    def definition_and_grad(self, *args: _P.args, **params: _P.kwargs) -> tuple[Any, dict[str, Any]]: ...

def _loss(function: Callable[_P, None]) -> Loss[_P]: ...
@_loss
def cmim_contrast(
    z: Array,
    temperature: float = 0.1,
    over: Literal["mean", "sum"] = "mean",
    normalize: bool = True,
    tile: int | None = None,
) -> None: ...
@_loss
def dispersive(
    z: Array,
    form: Literal["l2", "cosine", "hinge", "covariance"] = "l2",
    temperature: float = 0.5,
    margin: float = 1.0,
    per_dimension: bool = False,
    self_pairs: bool = True,
    eps: float = 1e-05,
    tile: int | None = None,
) -> None: ...
@_loss
def flops(
    z: Array,
    form: Literal["flops", "l1"] = "flops",
    normalize: bool = False,
) -> None: ...
@_loss
def t_regs(
    z: Array,
    length_weight: float = 1.0,
    sphere_weight: float = 1.0,
    normalize: bool = False,
) -> None: ...
@_loss
def uniformity(
    z: Array,
    t: float = 2.0,
    self_pairs: bool = False,
    normalize: bool = True,
    tile: int | None = None,
) -> None: ...
@_loss
def cip(
    z: Array,
    labels: Array,
    ortho_weight: float = 1.0,
    margin: float = 0.0,
    penalty: Literal["softplus", "hinge"] = "softplus",
    signed: bool = True,
    tile: int | None = None,
) -> None: ...
@_loss
def circle(
    z: Array,
    labels: Array,
    margin: float = 0.4,
    scale: float = 80.0,
    over: Literal["anchor", "batch"] = "anchor",
    weighted: bool = True,
    normalize: bool = True,
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def contextual(
    z: Array,
    labels: Array,
    neighbours: int = 4,
    contextual_weight: float = 0.4,
    regulariser_weight: float = 0.1,
    epsilon: float = 0.05,
    slope: float = 10.0,
    positive_margin: float = 0.75,
    negative_margin: float = 0.6,
    target_similarity: float = 0.25,
) -> None: ...
@_loss
def gfss_triplet(
    z: Array,
    labels: Array,
    base_classes: int = 1,
    margin: float = 0.2,
    negatives: Literal["base", "others"] = "base",
    mining: Literal["all", "hard"] = "all",
    distance: Literal["squared", "euclidean"] = "squared",
    normalize: bool = True,
    reduction: Literal["mean", "mean_active", "sum"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def score_facility_location(
    z: Array,
    labels: Array,
    form: Literal["correlation", "information"] = "correlation",
    smoothing: float = 0.0,
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def score_graph_cut(
    z: Array,
    labels: Array,
    balance: float = 2.0,
    form: Literal["information", "correlation"] = "information",
    push: Literal["sum", "soft_negatives", "soft_all"] = "sum",
    average: bool = False,
    temperature: float = 1.0,
    normalize: bool = True,
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def score_log_det(
    z: Array,
    labels: Array,
    form: Literal["correlation", "information"] = "correlation",
    ridge: float = 0.5,
    reduction: Literal["sum", "mean"] = "sum",
) -> None: ...
@_loss
def supcon(
    z: Array,
    labels: Array,
    temperature: float | Array = 0.1,
    form: Literal["out", "in"] = "out",
    normalize: bool = True,
    base_temperature: float | None = None,
    mean_over: Literal["anchors", "rows"] = "anchors",
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def triplet(
    z: Array,
    labels: Array,
    margin: float = 0.2,
    mining: Literal["all", "hard", "semihard", "semihard_fallback"] = "all",
    distance: Literal["squared", "euclidean"] = "squared",
    penalty: Literal["hinge", "softplus"] = "hinge",
    normalize: bool = True,
    reduction: Literal["mean", "mean_active", "sum"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def attention_conflict(
    maps: Array,
) -> None: ...
@_loss
def entity_missing(
    maps: Array,
    sharpness: float = 5.0,
    margin: float = 1.0,
) -> None: ...
@_loss
def map_count(
    density: Array,
    goal: Array,
    scale: Array,
    error: Literal["absolute", "squared"] = "absolute",
) -> None: ...
@_loss
def map_in_mask(
    a: Array,
    mask: Array,
) -> None: ...
@_loss
def map_overlap(
    a: Array,
    b: Array,
    goal: Literal["apart", "together"] = "apart",
    union: Literal["sum", "iou"] = "sum",
) -> None: ...
@_loss
def patch_nce(
    query: Array,
    key: Array,
    temperature: float = 0.07,
) -> None: ...
@_loss
def spatial_relation(
    a: Array,
    b: Array,
    relation: Literal["left of", "right of", "above", "below"] = "left of",
) -> None: ...
@_loss
def subject_neglect(
    maps: Array,
) -> None: ...
@_loss
def align(
    a: Array,
    b: Array,
    temperature: float | Array = 1.0,
    label_smoothing: float = 0.1,
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def align_uniform(
    a: Array,
    b: Array,
    alpha: float = 2.0,
    t: float = 2.0,
    alignment_weight: float = 1.0,
    uniformity_weight: float = 1.0,
    normalize: bool = True,
    tile: int | None = None,
) -> None: ...
@_loss
def barlow_twins(
    a: Array,
    b: Array,
    redundancy_weight: float = 0.0051,
    scale_loss: float = 1.0,
    eps: float = 1e-05,
    unbiased: bool = False,
) -> None: ...
@_loss
def best_alignment(
    a: Array,
    b: Array,
    a_lengths: Array | None = None,
    b_lengths: Array | None = None,
    distance: Literal["squared", "euclidean", "cosine"] = "squared",
    moves: Literal["frame", "dtw"] = "frame",
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def contrastive_gap(
    a: Array,
    b: Array,
    temperature: float | Array = 0.01,
    sharpness: float = 2.0,
    clip_weight: float = 1.0,
    uniformity_weight: float = 1.0,
    alignment_weight: float = 1.0,
    cross_uniformity_weight: float = 1.0,
    tile: int | None = None,
) -> None: ...
@_loss
def contrastive_noise(
    a: Array,
    b: Array,
    temperature: float = 0.1,
    gamma: float | None = None,
    include_self: bool = True,
) -> None: ...
@_loss
def corinfomax(
    a: Array,
    b: Array,
    covariance_a: Array | None = None,
    covariance_b: Array | None = None,
    mean_a: Array | None = None,
    mean_b: Array | None = None,
    covariance_weight: float = 0.2,
    invariance_weight: float = 2000.0,
    decay: float = 0.01,
    mean_decay: float = 0.01,
    eps: float = 1e-06,
    normalize: bool = False,
) -> None: ...
@_loss
def dclr(
    a: Array,
    b: Array,
    temperature: float | Array = 0.05,
    weights: Array | None = None,
    noise: Array | None = None,
    masking: Literal["candidates", "logits"] = "candidates",
    form: Literal["softmax", "binary"] = "softmax",
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def focal_itc(
    a: Array,
    b: Array,
    temperature: float | Array = 0.1,
    gamma: float = 2.0,
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def icon(
    a: Array,
    b: Array,
    targets: Array | None = None,
    kernel: Literal["cosine", "dot", "gaussian", "student_t", "clusters"] = "cosine",
    temperature: float | Array = 0.1,
    over: Literal["candidates", "pairs"] = "candidates",
    exclude_self: bool = False,
    alpha: float = 0.0,
    learned_alpha: float = 0.0,
    entropy: bool = True,
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def infonce(
    a: Array,
    b: Array,
    temperature: float | Array = 0.1,
    queue: Array | None = None,
    hard_negatives: Array | None = None,
    negatives: Literal["batch", "views", "queue"] = "batch",
    symmetric: bool = True,
    decoupled: bool = False,
    normalize: bool = True,
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def isogclr(
    a: Array,
    b: Array,
    temperatures: Array | None = None,
    estimates: Array | None = None,
    temperature: float = 0.1,
    estimate_rate: float = 0.8,
    radius: float = 0.4,
    estimate_of: Literal["differences", "similarities"] = "differences",
    negatives: Literal["views", "batch"] = "views",
    symmetric: bool = True,
    value: Literal["objective", "surrogate"] = "objective",
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def kalm(
    a: Array,
    b: Array,
    temperature: float | Array = 0.05,
    gamma: float = 0.5,
    mixed: int = 4,
    shares: Array | None = None,
    detach_weight: bool = True,
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def llave(
    a: Array,
    b: Array,
    temperature: float | Array = 0.02,
    hardness: float = 9.0,
    symmetric: bool = True,
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def moco_dual(
    a: Array,
    b: Array,
    queue: Array,
    query_queue: Array | None = None,
    temperature: float | Array = 0.07,
    hardest: float = 0.5,
    ceiling: float | None = None,
    key_weight: float = 0.5,
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def mrl_kl(
    a: Array,
    b: Array,
    targets: Array | None = None,
    temperature: float | Array = 1.0,
    target_temperature: float = 1.0,
    variance: Literal["softplus", "exp"] = "softplus",
    beta: float = 2.5,
    symmetric: bool = False,
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def mw_loss(
    a: Array,
    b: Array,
    temperature: float | Array = 0.1,
    negatives: Literal["all", "own"] = "all",
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def siglip(
    a: Array,
    b: Array,
    log_scale: float | Array = 2.302585092994046,
    bias: float | Array = -10.0,
    per_row: Literal["sum", "mean"] = "sum",
    normalize: bool = True,
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def similarity_kl(
    a: Array,
    b: Array,
    teacher_a: Array,
    teacher_b: Array,
    temperature: float = 0.02,
    symmetric: bool = False,
    diagonal: bool = True,
    rescale: bool = False,
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def sy_con(
    a: Array,
    b: Array,
    past_a: Array | None = None,
    past_b: Array | None = None,
    predicted_a: Array | None = None,
    predicted_b: Array | None = None,
    temperature: float | Array = 0.2,
    negatives: Literal["both", "own"] = "both",
    decoupled_stability: bool = False,
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def tico(
    a: Array,
    b: Array,
    covariance: Array | None = None,
    covariance_weight: float = 8.0,
    decay: float = 0.9,
    through_covariance: bool = False,
    centre: bool = False,
    offset: float = 0.0,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def unime(
    a: Array,
    b: Array,
    temperature: float | Array = 0.02,
    hardest: int = 8,
    margin: float = 0.1,
    short: Literal["repeat", "fewer"] = "repeat",
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def vicreg(
    a: Array,
    b: Array,
    invariance_weight: float = 25.0,
    variance_weight: float = 25.0,
    covariance_weight: float = 1.0,
    target_std: float = 1.0,
    eps: float = 0.0001,
    invariance: Literal["elements", "rows"] = "elements",
    variance_views: Literal["sum", "mean"] = "sum",
    unbiased: bool = True,
) -> None: ...
@_loss
def wmse(
    a: Array,
    b: Array,
    order: Array | None = None,
    size: int | None = None,
    eps: float = 0.0,
    normalize: bool = True,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def a_mim(
    prediction: Array,
    target: Array,
    code: Array,
    mean: Array,
    variance: Array,
    form: Literal["mim", "vae"] = "mim",
    scale: float = 0.5,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def cluster_prediction(
    prediction: Array,
    assignment: Array,
    mask: Array,
    temperature: float = 0.12,
    target_temperature: float = 0.06,
    iterations: int = 3,
    over: Literal["position", "all"] = "position",
) -> None: ...
@_loss
def flow_matching(
    prediction: Array,
    clean: Array,
    noise: Array,
    mask: Array | None = None,
    predicts: Literal["velocity", "towards_data", "noise", "clean"] = "velocity",
    over: Literal["all", "mask"] = "all",
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def masked_regression(
    prediction: Array,
    target: Array,
    mask: Array,
    norm: Literal["l2", "l1", "smooth_l1"] = "l2",
    normalize_target: bool = True,
    over: Literal["masked", "all"] = "masked",
    beta: float = 1.0,
    ddof: int = 1,
    eps: float = 1e-06,
) -> None: ...
@_loss
def ms_ssim(
    prediction: Array,
    target: Array,
    scales: int | None = None,
    window: int = 11,
    sigma: float = 1.5,
    data_range: float = 1.0,
    k1: float = 0.01,
    k2: float = 0.03,
    negative: Literal["clip", "normalize"] = "clip",
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def patch_discrimination(
    prediction: Array,
    target: Array,
    temperature: float = 0.2,
    standardise: bool = True,
    eps: float = 0.0001,
) -> None: ...
@_loss
def patch_order(
    prediction: Array,
    error: Array,
    mask: Array,
    form: Literal["relative", "absolute"] = "relative",
    eps: float = 1e-06,
) -> None: ...
@_loss
def topic_elbo(
    scores: Array,
    counts: Array,
    mean: Array,
    log_variance: Array,
    alpha: float = 1.0,
    per_word: bool = False,
) -> None: ...
@_loss
def circle_scores(
    x: Array,
    w: Array,
    labels: Array,
    margin: float = 0.25,
    scale: float = 256.0,
    weighted: bool = True,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def cosent(
    scores: Array,
    similarity: Array,
    temperature: float | Array = 0.05,
) -> None: ...
@_loss
def cross_entropy(
    scores: Array,
    labels: Array,
    temperature: float | Array = 1.0,
    label_smoothing: float = 0.0,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def dag_likelihood(
    emissions: Array,
    links: Array,
    states: Array | None = None,
    targets: Array | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def harmonic(
    x: Array,
    w: Array,
    labels: Array,
    exponent: float | None = None,
    squared: bool = False,
    epsilon: float = 0.0,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def number_token_loss(
    scores: Array,
    labels: Array,
    values: Array,
    is_number: Array,
    weight: float = 0.3,
    distance: Literal["was", "mse", "mae"] = "was",
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def opinion_emd(
    scores: Array,
    targets: Array,
    root: bool = False,
) -> None: ...
@_loss
def opinion_shortfall(
    scores: Array,
) -> None: ...
@_loss
def pearson(
    scores: Array,
    similarity: Array,
) -> None: ...
@_loss
def pro(
    scores: Array,
    similarity: Array,
    temperature: float = 0.05,
) -> None: ...
@_loss
def prompt_information(
    positives: Array,
    negatives: Array,
    mask: Array | None = None,
    ceiling: float | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def rank_kl(
    scores: Array,
    similarity: Array,
    temperature: float = 0.05,
    reduction: Literal["mean", "sum"] = "mean",
) -> None: ...
@_loss
def reject(
    scores: Array,
    predictions: Array,
    labels: Array,
    cost: float = 0.05,
    alpha: float = 2.0,
    beta: float | None = None,
    surrogate: Literal["exponential", "logistic"] = "exponential",
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def replaced_tokens(
    scores: Array,
    replaced: Array,
    mask: Array,
) -> None: ...
@_loss
def sparsemax(
    scores: Array,
    labels: Array,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def sparsemax_multilabel(
    scores: Array,
    targets: Array,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def z_loss(
    scores: Array,
    labels: Array,
    sharpness: float = 1.0,
    threshold: float = 0.0,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def cross_similarity(
    p1: Array,
    p2: Array,
    z1: Array,
    z2: Array,
    form: Literal["cosine", "sigmoid"] = "cosine",
    threshold: float = 0.8,
    weight: float = 1.0,
    reduction: Literal["mean", "sum", "none"] = "mean",
    tile: int | None = None,
) -> None: ...
@_loss
def negative_cosine(
    p1: Array,
    p2: Array,
    z1: Array,
    z2: Array,
    form: Literal["cosine", "squared"] = "cosine",
    views: Literal["mean", "sum"] = "mean",
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def token_relations(
    query: Array,
    key: Array,
    teacher_query: Array,
    teacher_key: Array,
) -> None: ...
@_loss
def tribyol(
    p1: Array,
    p2: Array,
    p3: Array,
    z1: Array,
    z2: Array,
    z3: Array,
    z1_second: Array | None = None,
    pairs: Literal["first", "all", "one_way"] = "first",
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> None: ...
@_loss
def edit_direction(
    image: Array,
    image_before: Array,
    text: Array,
    text_before: Array,
) -> None: ...
@_loss
def error_contrast(
    errors: Array,
    temperature: float = 0.07,
    scale: float = 4.0,
    form: Literal["exp", "negative"] = "exp",
    denoise_weight: float = 0.0,
) -> None: ...
@_loss
def mmrl(
    image: Array,
    tokens: Array,
    text: Array,
    image_before: Array,
    text_before: Array,
    labels: Array,
    scale: float | Array = 100.0,
    alpha: float = 0.7,
    anchor: float = 1.0,
) -> None: ...
@_loss
def prompt_distribution(
    image: Array,
    text: Array,
    labels: Array,
    scale: float | Array = 20.0,
    covariance: Literal["full", "diagonal"] = "full",
    divisor: Literal["N", "N-1", "N+1"] = "N",
) -> None: ...
@_loss
def prompt_orthogonality(
    z: Array,
) -> None: ...
@_loss
def prototype(
    text: Array,
    image: Array,
    object: Array,
    name: Array,
    among: Literal["all", "class", "images"] = "all",
) -> None: ...
