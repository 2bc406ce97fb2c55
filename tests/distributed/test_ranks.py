"""N ranks with B/N rows give what one gives with B rows, to float64 round-off; and all ranks agree to the bit.

The tolerance is absolute: three steps move parameters by 1e-3 (AdamW) to 10 (SigLIP's scale).
"""

import json

import numpy as np
import pytest
from float64_runs import trained
from mpi_ranks import __file__ as PROGRAM
from mpi_ranks import needs_mpi, results_path, run_on

from mini_repr.training import config

pytestmark = needs_mpi
STEPS, ROUND_OFF = 3, 1e-13
SMALL = {
    "encoder": {"name": "vit", "width": 16, "depth": 1, "heads": 2, "patch": 4},
    "method": {"views": "shift=1,noise=0.1,cutout=1"},
    "heads": {"hidden": 16, "dimensions": 8},
    "optimizer": {"name": "sgd", "lr": 0.1, "schedule": "constant", "warmup_steps": 0},
    "train": {"batch_size": 24},
}
MLP = {"name": "mlp", "width": 16, "hidden": 16, "depth": 2}
QUEUE = {"name": "infonce", "negatives": "queue", "symmetric": False}

CASES = {
    "infonce": {},
    "nt_xent": {"loss": {"name": "infonce", "negatives": "views"}},
    "decoupled, one direction, sum": {
        "loss": {"name": "infonce", "decoupled": True, "symmetric": False, "reduction": "sum"},
        "optimizer": {"lr": 0.01},
    },
    "learned temperature": {"loss": {"name": "infonce", "learn": ["temperature"]}},
    "infonce with a regulariser": {"add": {"uniformity": 0.5}},
    "infonce with a regulariser that gathers": {"add": {"t_regs": 0.5}},
    "infonce with three regularisers": {"add": {"dispersive": 0.5, "cmim_contrast": 0.5, "flops": 0.5}},
    "infonce, nested columns": {"loss": {"name": "infonce", "matryoshka": [4, 8]}},
    "supcon with losses of views": {"loss": {"name": "supcon"}, "add": {"vicreg": 0.1, "uniformity": 0.5}},
    "align_uniform": {"loss": {"name": "align_uniform"}},
    "uniformity": {"loss": {"name": "uniformity"}},
    "circle": {"loss": {"name": "circle", "scale": 8.0}},
    "corinfomax": {"loss": {"name": "corinfomax", "decay": 0.5}, "optimizer": {"lr": 1e-3}},
    "tico": {"loss": {"name": "tico"}},
    "tico of centred rows": {"loss": {"name": "tico", "centre": True}},
    "triplet of the hardest": {"loss": {"name": "triplet", "mining": "hard"}},
    "triplet": {"loss": {"name": "triplet"}},
    "wmse": {"loss": {"name": "wmse", "eps": 0.1}, "optimizer": {"lr": 0.01}},
    "wmse of sub-batches": {"loss": {"name": "wmse", "size": 12, "eps": 0.1}, "optimizer": {"lr": 0.01}},
    "infonce, batch norm": {"encoder": MLP, "heads": {"batch_norm": True}},
    "siglip": {"loss": {"name": "siglip"}},
    "supcon": {"loss": {"name": "supcon"}},
    "cross_entropy": {"loss": {"name": "cross_entropy"}},
    "barlow_twins": {"loss": {"name": "barlow_twins"}, "optimizer": {"lr": 0.01}},
    "barlow_twins, batch norm": {
        "loss": {"name": "barlow_twins"},
        "encoder": MLP,
        "heads": {"batch_norm": True},
        "optimizer": {"lr": 0.01},
    },
    "vicreg": {"loss": {"name": "vicreg"}, "optimizer": {"lr": 0.01}},
    "moco, queue": {"loss": QUEUE, "method": {"name": "momentum", "queue_size": 40}},
    "moco v3": {"method": {"name": "momentum"}},
    "byol": {"loss": {"name": "negative_cosine"}, "method": {"name": "momentum"}, "heads": {"predictor_hidden": 8}},
    "tribyol": {"loss": {"name": "tribyol"}, "method": {"name": "simsiam"}, "heads": {"predictor_hidden": 8}},
    "alignment of patches": {"loss": {"name": "best_alignment"}},
    # An MLP: attention's key bias has no gradient but round-off, which Adam divides by as small a number.
    "adamw": {"encoder": {**MLP, "norm": "layer"}, "optimizer": {"name": "adamw", "lr": 1e-3}},
    "groups": {"train": {"loss_groups": 6}},
    "groups, supcon": {"loss": {"name": "supcon"}, "train": {"loss_groups": 6, "batch_size": 48}},
    "groups, learned": {"loss": {"name": "siglip"}, "train": {"loss_groups": 6, "grad_cache": 5}},
    "masked": {"loss": {"name": "masked_regression"}, "method": {"style": "mae"}},
    "masked token": {"loss": {"name": "masked_regression"}, "method": {"name": "mto"}},
    "jigsaw": {
        "loss": {"name": "cross_entropy"},
        "data": {"name": "coloured", "count": 120},
        "encoder": {"name": "tiles", "features": 8, "hidden": 16},
        "method": {"name": "jigsaw", "views": ""},
    },
    "patches apart": {
        "loss": {"name": "patch_discrimination"},
        "method": {"name": "latent_mim", "gap": 2},
        "optimizer": {"lr": 0.01},
    },
    "neighbours": {
        "loss": {"name": "barlow_twins"},
        "encoder": {"name": "linear", "width": 8},
        "method": {"name": "neighbours"},
        "heads": {"batch_norm": True},
        "optimizer": {"lr": 0.01},
    },
    "gradient cache": {"train": {"grad_cache": 5}},
    "gradient cache, queue": {
        "loss": QUEUE,
        "method": {"name": "momentum", "queue_size": 40},
        "train": {"grad_cache": 3},
    },
}


WORDS = {"name": "text_transformer", "width": 16, "depth": 2, "heads": 2, "buckets": 64}
SENTENCES = {"data": {"name": "topics", "kind": "sentences", "count": 240}, "encoder": WORDS}
TEXTS = {
    "masked words": {"loss": {"name": "cross_entropy"}, **SENTENCES},
    "MAE-LM": {"loss": {"name": "cross_entropy"}, "method": {"style": "mae_lm"}, **SENTENCES},
    "token dropping": {"loss": {"name": "cross_entropy"}, "method": {"keep": 6}, **SENTENCES},
    "soft prompt": {
        "loss": {"name": "cross_entropy"},
        "method": {"name": "infoprompt"},
        "data": SENTENCES["data"],
        "encoder": {**WORDS, "prompt": 2},
    },
    "expanded words": {"loss": {"name": "dag_likelihood"}, "method": {"copies": 2}, **SENTENCES},
    "replaced words": {"loss": {"name": "replaced_tokens"}, "method": {"weight": 1.0}, **SENTENCES},
    "clicks": {
        "loss": {"name": "cross_entropy"},
        "data": {"name": "clicks", "count": 240},
        "encoder": {"name": "fields", "dimensions": 4, "numbers": "equal_frequency"},
        "method": {"name": "click_through", "cross_layers": 2, "hidden": 8},
        "optimizer": {"lr": 0.01},
    },
    "clicks, sampled columns": {
        "loss": {"name": "cross_entropy"},
        "data": {"name": "clicks", "count": 240},
        "encoder": {"name": "fields", "dimensions": 4},
        "method": {"name": "click_through", "sampled_columns": True, "hidden": 8},
        "optimizer": {"lr": 0.01},
    },
    "topics of documents": {
        "loss": {"name": "topic_elbo", "per_word": True},
        "method": {"topics": 4, "set_size": 3, "balance": "sum"},
        "data": SENTENCES["data"],
        "encoder": {"name": "text", "width": 8, "hidden": 8, "buckets": 64},
    },
    "captions of two languages in groups": {
        "loss": {"name": "infonce", "learn": ["temperature"]},
        "data": {"name": "captions", "count": 240, "side": 2, "language": "mixed"},
        "encoder": {"name": "vit", "width": 16, "depth": 1, "heads": 2, "patch": 8, "pooling": "max"},
        "train": {"loss_groups": 6},
    },
    "soft masks": {
        "method": {"name": "soft_masks"},
        "data": {"name": "captions", "count": 240, "side": 2},
        "encoder": {"name": "vit", "width": 16, "depth": 1, "heads": 2, "patch": 8},
    },
    "graded pairs": {
        "loss": {"name": "pearson"},
        "data": {"name": "glosses", "kind": "graded"},
        "encoder": {"name": "text", "width": 8, "hidden": 8, "buckets": 64},
    },
    "two tasks": {
        "loss": {"name": "infonce"},
        "data": {"name": "glosses", "kind": "tasks"},
        "method": {"name": "two_tasks"},
        "encoder": {"name": "text", "width": 8, "hidden": 8, "buckets": 64},
        "optimizer": {"lr": 0.01},
    },
    "mined negatives": {
        "loss": {"name": "infonce"},
        "data": {"name": "topics", "count": 120},
        "method": {"name": "mined_negatives", "every": 2},
        "encoder": {"name": "text", "width": 8, "hidden": 8, "buckets": 64},
    },
}
CASES |= TEXTS


def settings_of(case):
    base = dict(SMALL)
    if case in TEXTS.values():
        return config.merge({name: SMALL[name] for name in ("optimizer", "train")}, case)
    if "encoder" in case:
        base["encoder"] = {}
    if case.get("loss", {}).get("name") in ("masked_regression", "cross_entropy", "patch_discrimination"):
        del base["heads"]
    return config.merge(base, case)


# On four ranks: two of them share a group, so that rows travel, but not to all.
GROUPED = {
    "infonce": {"loss": {"name": "infonce", "learn": ["temperature"]}, "train": {"loss_groups": 2}},
    "siglip": {"loss": {"name": "siglip"}, "train": {"loss_groups": 2}},
    "supcon": {"loss": {"name": "supcon"}, "train": {"loss_groups": 2, "batch_size": 48}},
}


def results_of(ranks, settings, folder):
    """``results_of(...)(case)``: what ``trained`` gives on each rank, the settings of all cases in one start of MPI."""
    (folder / "cases.json").write_text(json.dumps(settings))
    done = run_on(ranks, PROGRAM, folder / "cases.json", folder, STEPS)
    assert done.returncode == 0, done.stderr
    return lambda case: [dict(np.load(results_path(folder, case, rank))) for rank in range(ranks)]


@pytest.fixture(scope="module", params=[2, 3])
def on_ranks(request, tmp_path_factory):
    settings = {name: settings_of(case) for name, case in CASES.items()}
    return results_of(request.param, settings, tmp_path_factory.mktemp("ranks"))


@pytest.fixture(scope="module")
def on_four_ranks(tmp_path_factory):
    settings = {name: settings_of(case) for name, case in GROUPED.items()}
    return results_of(4, settings, tmp_path_factory.mktemp("grouped"))


@pytest.mark.parametrize("case", CASES)
def test_ranks_give_what_one_gives(on_ranks, case):
    assert_same(on_ranks(case), settings_of(CASES[case]))


@pytest.mark.parametrize("case", GROUPED)
def test_groups_of_ranks(on_four_ranks, case):
    settings = settings_of(GROUPED[case])
    assert_same(on_four_ranks(case), settings)
    one_group = config.merge(settings, {"train": {"loss_groups": 1}})
    assert abs(trained(one_group, 1)["loss"][0] - trained(settings, 1)["loss"][0]) > 1e-2  # it is another loss


# Round a ring, gathered (a weighed row has no ring form), and in groups.
HARD_NEGATIVES = {
    "ring": {"loss": {"name": "infonce", "learn": ["temperature"]}},
    "ring, both views": {"loss": {"name": "infonce", "negatives": "views", "symmetric": False}},
    "gathered": {"loss": {"name": "infonce", "reweight": "quadratic"}, "train": {"grad_cache": 5}},
    "ring, nested columns": {"loss": {"name": "infonce", "matryoshka": [4, 8]}, "train": {"grad_cache": 5}},
    "groups": {"loss": {"name": "infonce"}, "train": {"loss_groups": 4, "grad_cache": 5}},
}


def test_hard_negatives(tmp_path):
    data = tmp_path / "pairs.tsv"
    lines = [f"w{i} w{i // 2}\tw{i} v{i // 3}\tw{(i + 1) % 60} v{i // 3}" for i in range(60)]
    data.write_text("\n".join(["query\tdocument\tnegative", *lines]))
    text = {
        "data": {"name": str(data)},
        "encoder": {"name": "text", "width": 8, "hidden": 16, "embedding": 8, "buckets": 256},
        "optimizer": SMALL["optimizer"],
        "train": {"batch_size": 24},
    }
    settings = {name: config.merge(text, case) for name, case in HARD_NEGATIVES.items()}
    on_ranks = results_of(2, settings, tmp_path)
    for case, own in settings.items():
        assert_same(on_ranks(case), own)


def assert_same(several, settings):
    start, one = trained(settings, 0), trained(settings, STEPS)
    assert max(np.abs(one[n] - start[n]).max() for n in start if n != "loss") > 1e-3  # it did train
    for rank, result in enumerate(several):
        assert result.keys() == one.keys()
        for name, expected in one.items():
            assert result[name].dtype == expected.dtype
            np.testing.assert_allclose(result[name], expected, rtol=0, atol=ROUND_OFF, err_msg=f"{name}, rank {rank}")
            np.testing.assert_array_equal(result[name], several[0][name], err_msg=f"{name}, ranks 0 and {rank}")
