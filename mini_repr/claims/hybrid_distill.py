"""Hybrid Distill: a student keeps one teacher's discrimination and the other's diversity of attention.

Shi et al. 2023, arXiv 2306.15876. Digits, a ViT of 16 patches. Teachers: a masked autoencoder (normalised pixels, 50
epochs) and a classifier with all labels (20 epochs), from which students learn in 20 epochs: the features of the second
alone, the relations of the first alone, both, and both with up to 30 % of the tokens dropped. *probe*: a linear one, on
the mean tokens, with all labels; *few labels*: with ten a class; *diversity*: the deviation over heads of the mean
distance at which they look, in the last block, in patches; *information*: between token and place looked at
(``metrics/attention.py``), the mean over these heads.
"""

import tempfile
from pathlib import Path

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.claim import Claim, higher, no_worse
from mini_repr.claims.bench.trained import few_labels, labelled_rows, trained
from mini_repr.metrics import linear_probe
from mini_repr.metrics.attention import attention_distance, attention_information
from mini_repr.training.config import merge
from mini_repr.training.session import start

COMMON = {
    "encoder": {"name": "vit", "width": 48, "depth": 3, "patch": 2, "pooling": "mean", "start": "zero"},
    "train": {"epochs": 20, "batch_size": 64},
}
TEACHERS = {
    "relations_of": {"loss": {"name": "masked_regression"}, "method": {"decoder_width": 48}, "train": {"epochs": 50}},
    "features_of": {"loss": {"name": "cross_entropy"}},
}
ARMS = {
    "features": {"relations": 0.0, "drop": 0.0},
    "relations": {"features": 0.0, "drop": 0.0},
    "both": {"drop": 0.0},
    "both, dropping": {"drop": 0.3},
}
ALIKE = 0.01


def taught(seed, folder):
    """{setting: the folder of a teacher's finished run, as text}, beside the runs themselves."""
    paths, runs = {}, {}
    for name, own in TEACHERS.items():
        run, home = start(merge(merge(COMMON, own), {"train": {"seed": seed}}), out=Path(folder) / name)
        while not run.finished:
            run.train_epoch()
        run.save(home)
        home.close()
        paths[name], runs[name] = str(home.path), run
    return paths, runs


def worth(encoder, data):
    encoder.eval()
    train, labels, test, test_labels = labelled_rows(encoder, data)
    with no_grad():
        weights = encoder(data.test.images, attention=True).attention[-1]
    return {
        "probe": linear_probe(train, labels, test, test_labels),
        "few labels": few_labels(encoder, data),
        "diversity": attention_distance(weights, encoder.grid).std(),
        "information": attention_information(weights).mean(),
    }


def measure(seed):
    with tempfile.TemporaryDirectory() as folder:
        teachers, runs = taught(seed, folder)
        names = {"relations_of": "masked teacher", "features_of": "class teacher"}
        found = {names[name]: worth(run.method.encoder, run.data) for name, run in runs.items()}
        for arm, own in ARMS.items():
            run = trained(seed, **merge(COMMON, {"loss": {"name": "token_relations"}, "method": {**teachers, **own}}))
            found[arm] = worth(run.method.encoder, run.data)
    return found


CLAIM = Claim(
    paper="025",
    says="a student of token relations and features is as discriminative as of features alone, its heads more diverse",
    measure=measure,
    expects=(
        no_worse("few labels", "both", "features", by=ALIKE),
        higher("few labels", "both", "relations", by=0.05),
        higher("diversity", "both", "features"),
        higher("information", "both", "features"),
        no_worse("few labels", "both, dropping", "both", by=ALIKE),
    ),
)
