"""The table at the end: the trained encoder beside the same encoder untrained and the raw inputs.

Training rows fit the probes and are the neighbours; only test rows are scored.
"""

import numpy as np

from mini_repr.data import CaptionedSet, ImageSet, PairSet, TableSet
from mini_repr.metrics import (
    alignment,
    best_jaccard,
    coding_rate,
    curvature,
    dime,
    effective_rank,
    few_label_probe,
    infonce_bound,
    knn_accuracy,
    lidar,
    linear_probe,
    matrix_entropy,
    mean_iou,
    mean_reciprocal_rank,
    prompt_entropy,
    rank_agreement,
    recall_at_k,
    uniformity,
)
from mini_repr.metrics.segmentation import (
    background_threshold,
    patch_groups,
    patch_labels,
    segmented,
    zero_shot_patches,
)

NEIGHBOURS = 20
LABELS_A_CLASS = 10
DRAWS = 5
# Seed of the two views that alignment compares: the same views in every report.
VIEW_SEED = 20


def compare(encoders, data, views=None):
    """Score several ways to represent one data set.

    Args:
        encoders: {name: function from host images (N, C, H, W), or from a list of texts, to host rows (N, D)}.
        data: data set with ``train`` and ``test`` images or texts, labels or none.
        views: the augmentation that makes positive pairs of images, for alignment.
    Returns:
        {name: {metric: number}}; accuracies lie in [0, 1]. What the data does not allow is left out: without labels all
        that needs them, probes of one class, one of 10 labels per class where a class has fewer, directions of zero
        rows (black images), uniformity of one row.
    """
    rng = np.random.default_rng(VIEW_SEED)
    pairs = [views(data.test.images, rng) for _ in range(2)] if views else []
    return {name: _scores(encode, data, pairs) for name, encode in encoders.items()}


def inputs_of(part):
    """What an encoder takes of a part of a data set: its images, its rows, or its texts one by one."""
    if isinstance(part, TableSet):
        return part.rows
    return part.images if isinstance(part, ImageSet | CaptionedSet) else part.texts


def _scores(encode, data, pairs):
    train_z, test_z = encode(inputs_of(data.train)), encode(inputs_of(data.test))
    scores = {}
    if data.train.labels is not None:
        labelled = (train_z, data.train.labels, test_z, data.test.labels)
        scores |= by_neighbours(*labelled)
        counts = np.unique(data.train.labels, return_counts=True)[1]
        if len(counts) > 1:
            scores["probe"] = linear_probe(*labelled)
        if len(counts) > 1 and counts.min() >= LABELS_A_CLASS:
            mean, deviation = few_label_probe(*labelled, per_class=LABELS_A_CLASS, draws=DRAWS)
            scores |= {"probe_few": mean, "probe_few_deviation": deviation}
    views = [encode(view) for view in pairs]
    if views and _directed(*views):
        scores["alignment"] = alignment(*views)
    if _directed(test_z) and len(test_z) > 1:
        scores["uniformity"] = uniformity(test_z)
    if test_z.any():
        scores["effective_rank"] = effective_rank(test_z)
    return scores | {"dimensions": test_z.shape[1]}


def by_neighbours(train_z, train_labels, test_z, test_labels):
    """{"knn": share of the test rows that their nearest training rows name rightly}; {} with rows of no direction."""
    if not _directed(train_z, test_z):
        return {}
    return {"knn": knn_accuracy(train_z, train_labels, test_z, test_labels, k=min(NEIGHBOURS, len(train_z)))}


def _directed(*sets):
    """Whether all rows of all sets have a direction: none is zero."""
    return all(rows.any(axis=1).all() for rows in sets)


def by_layer(sides, tokens_of, data, views=None, codes_of=None):
    """Score every layer of an encoder: which one is best, and what goes with it.

    Skean et al. 2025, arXiv 2502.02013, measure the layers of language models so.

    Args:
        sides: one function from host images, or from texts, to a list of host rows (N, D), one a layer; or two such
            functions of texts, for a and for b.
        tokens_of: the last of them, but to (list of host tokens (N, T, D), mask (N, T) or None); None if the encoder
            has no tokens.
        data: data set of images, or of pairs of texts: then the two texts are the two views, b is what the probe
            classifies where there are labels, and a looks for its b.
        views: the augmentation that makes two views of images; None for texts one by one, which have no second view.
        codes_of: CRATE's ``layer_codes`` to a list of (host tokens in subspaces, host tokens out, heads), one a layer;
            None for other encoders.
    Returns:
        {"layer 1": {metric: number}, ...}. What compares two views, or the tokens of an image or text, takes the first
        1,000 of the test part. Without an image or text of three tokens there is no curvature.
    """
    most = dime.most_rows
    if isinstance(data.test, PairSet):
        train, test = data.train.b, data.test.b
        a, b = data.test.a[:most], data.test.b[:most]
    else:
        train, test = inputs_of(data.train), inputs_of(data.test)
        rng = np.random.default_rng(VIEW_SEED)
        a, b = (views(test[:most], rng) for _ in range(2)) if views else (None, None)
    of_a, of_b = sides[0], sides[-1]
    layers = list(zip(of_b(train), of_b(test), strict=True))
    pairs = [()] * len(layers) if a is None else zip(of_a(a), of_b(b), strict=True)
    tokens, mask = tokens_of(test[:most]) if tokens_of else (None, None)
    most_tokens = 0 if not tokens else tokens[0].shape[1] if mask is None else int(mask.sum(axis=1).max())
    codes = codes_of(test[:most]) if codes_of else None
    table = {}
    for number, ((train_z, test_z), pair) in enumerate(zip(layers, pairs, strict=True), 1):
        scores = {}
        if data.train.labels is not None and len(set(data.train.labels)) > 1:
            scores["probe"] = linear_probe(train_z, data.train.labels, test_z, data.test.labels)
        if isinstance(data.test, PairSet):
            scores["reciprocal_rank"] = mean_reciprocal_rank(*pair)
        scores |= {"matrix_entropy": matrix_entropy(test_z), "effective_rank": effective_rank(test_z)}
        if tokens:
            scores["prompt_entropy"] = prompt_entropy(tokens[number - 1], mask)
            if most_tokens >= 3:
                scores["curvature"] = curvature(tokens[number - 1], mask)
        if codes:
            in_subspaces, out, heads = codes[number - 1]
            scores |= {"coding_rate": coding_rate(in_subspaces, heads=heads), "zeros": float((out == 0).mean())}
        if pair:
            scores |= {metric.name: metric(*pair) for metric in (infonce_bound, lidar, dime, alignment)}
        table[f"layer {number}"] = scores | {"uniformity": uniformity(test_z), "dimensions": test_z.shape[1]}
    return table


def compare_pairs(towers, data):
    """Score several ways to represent pairs of texts: does a find its b among all b of the test part?

    Args:
        towers: {name: [function from a list of texts a to host rows (N, D), the same for b]}.
        data: data set with ``train`` and ``test`` pairs.
    Returns:
        {name: {metric: number}}; of a representation with a zero row (a text without words) only rank and dimensions.
        Where some pairs have a grade and others none, the ones are for the rank agreement and the others look for their
        partners.
    """
    scores, similarity = {}, data.test.similarity
    graded = np.zeros(len(data.test), bool) if similarity is None else np.isfinite(similarity)
    for name, (of_a, of_b) in towers.items():
        all_a, all_b = of_a(data.test.a), of_b(data.test.b)
        a, b = (all_a, all_b) if graded.all() else (all_a[~graded], all_b[~graded])
        both = np.concatenate([a, b])
        scores[name] = {"dimensions": a.shape[1]}
        if both.any():
            scores[name]["effective_rank"] = effective_rank(both)
        if _directed(both):
            scores[name] |= {
                "recall_1": recall_at_k(a, b, 1),
                "recall_10": recall_at_k(a, b, min(10, len(a))),
                "reciprocal_rank": mean_reciprocal_rank(a, b),
                "alignment": alignment(a, b),
                "uniformity": uniformity(both),
            }
            if graded.sum() > 1:
                scores[name]["rank_agreement"] = rank_agreement(all_a[graded], all_b[graded], similarity[graded])
    return scores


def compare_captioned(towers, data):
    """Score pairs of towers: which caption belongs to an image, and what does each of its patches show?

    Args:
        towers: {name: (function from host images to host rows (N, D), the same for a list of texts, function from
            images to host tokens (N, P, D) in the same space; None without tokens)}.
        data: data set with ``train`` and ``test`` images with captions.
    Returns:
        {name: {metric: number}}. ``caption``: share of test images whose most similar caption, of all different ones of
        the test part, is theirs. Where the data knows what pixels show, ``patch``: share of patches of things that are
        named rightly; ``mean_iou``: with the background told by a threshold chosen on the first 500 training images;
        ``jaccard``: of groups of like patches, without texts.
    """
    scores, different = {}, sorted(set(data.test.texts))
    own = np.array([different.index(text) for text in data.test.texts])
    for name, (of_images, of_texts, tokens_of) in towers.items():
        images, texts = of_images(data.test.images), of_texts(different)
        both = np.concatenate([images, texts])
        scores[name] = {"dimensions": images.shape[1]}
        if both.any():
            scores[name]["effective_rank"] = effective_rank(both)
        if _directed(both):
            nearest = (images @ (texts / np.linalg.norm(texts, axis=1, keepdims=True)).T).argmax(axis=1)
            scores[name] |= {
                "caption": float((nearest == own).mean()),
                "alignment": alignment(images, texts[own]),
                "uniformity": uniformity(both),
            }
        if tokens_of and data.test.pixels is not None:
            scores[name] |= by_patches(of_texts(list(data.test.things)), tokens_of, data)
    return scores


def by_patches(texts, tokens_of, data):
    """{"patch", "mean_iou", "jaccard"} of rows of texts (K, D), one per thing: see ``compare_captioned``."""
    tokens, labels, cosines = [], [], []
    for part in (data.train.take(slice(500)), data.test):
        tokens.append(tokens_of(part.images))
        side = round((part.images[0, 0].size / tokens[-1].shape[1]) ** 0.5)
        labels.append(patch_labels(part.pixels, side))
        cosines.append(zero_shot_patches(tokens[-1], texts))
    (_, tokens), (of_train, labels), (before, cosines) = tokens, labels, cosines
    things = labels >= 0
    predicted = segmented(cosines, background_threshold(before, of_train))
    return {
        "patch": float((cosines.argmax(axis=-1) == labels)[things].mean()),
        "mean_iou": mean_iou(predicted, labels),
        "jaccard": best_jaccard(patch_groups(tokens, labels, np.random.default_rng(VIEW_SEED)), labels),
    }
