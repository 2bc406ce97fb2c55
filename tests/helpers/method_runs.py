"""Small runs of every method."""

from mini_repr.training import session

SMALL_VIT = {"name": "vit", "width": 16, "depth": 2, "heads": 2, "patch": 4}
SENTENCES = {
    "data": {"name": "sentences"},
    "encoder": {"name": "text_transformer", "width": 16, "depth": 2, "heads": 2, "buckets": 64, "dropout": 0.1},
}
# A run of every method; of masked images both, of encoders, optimisers and procedures each one at least.
RUNS = {
    "simclr": {"loss": {"name": "infonce"}},
    "simclr, MLP, views": {
        "loss": {"name": "vicreg"},
        "encoder": {"name": "mlp"},
        "method": {"views": "crop,flip,contrast,cutout=2,shift=1:edge"},
    },
    "simsiam": {"loss": {"name": "negative_cosine"}, "optimizer": {"name": "sgd", "momentum": 0.9}},
    "momentum": {"loss": {"name": "negative_cosine"}, "method": {"name": "momentum"}},
    "momentum, queue": {
        "loss": {"name": "infonce", "negatives": "queue", "symmetric": False},
        "method": {"name": "momentum", "queue_size": 32},
    },
    "metric_learning": {"loss": {"name": "contextual"}},
    "masked, MAE": {"loss": {"name": "masked_regression"}},
    "masked, clips": {
        "loss": {"name": "masked_regression"},
        "data": {"name": "moving", "count": 64},
        "method": {"name": "masked", "mask": "block"},
    },
    "masked, SimMIM": {"loss": {"name": "masked_regression"}, "method": {"name": "masked", "style": "simmim"}},
    "masked, CRATE": {
        "loss": {"name": "masked_regression"},
        "encoder": {"name": "crate", "width": 16, "depth": 1, "heads": 2, "patch": 4},
    },
    "masked, CRATE's decoder": {
        "loss": {"name": "masked_regression"},
        "encoder": {"name": "crate", "width": 16, "depth": 1, "heads": 2, "patch": 4},
        "method": {"name": "masked", "style": "crate"},
    },
    "masked_contrast": {"loss": {"name": "infonce"}, "method": {"name": "masked_contrast"}},
    "hpm": {"loss": {"name": "patch_order"}},
    "hpm, clips": {
        "loss": {"name": "patch_order"},
        "data": {"name": "moving", "count": 64},
        "method": {"name": "hpm", "tubes": True, "target": "features"},
    },
    "latent_mim": {"loss": {"name": "patch_discrimination"}},
    "capi": {"loss": {"name": "cluster_prediction"}, "method": {"clusters": 8}},
    "supervised_masked": {"loss": {"name": "cross_entropy"}, "method": {"name": "supervised_masked", "codes": 8}},
    "flow": {
        "method": {"name": "flow"},
        "encoder": {"name": "denoiser", "width": 16, "depth": 2, "heads": 2, "patch": 4},
        "add": {"dispersive": {"weight": 0.5}},
    },
    "swycc": {
        "method": {"name": "swycc", "decoder_width": 16, "decoder_depth": 1, "decoder_patch": 4},
        "encoder": {"name": "mlp"},
    },
    "autoencoder": {"loss": {"name": "ms_ssim"}},
    "variational, cMIM": {"loss": {"name": "a_mim"}, "add": {"cmim_contrast": {"weight": 1.0}}},
    "jigsaw": {
        "loss": {"name": "cross_entropy"},
        "data": {"name": "coloured", "count": 64},
        "encoder": {"name": "tiles"},
        "method": {"name": "jigsaw", "views": ""},
    },
    "classifier, pooled": {
        "loss": {"name": "cross_entropy"},
        "encoder": {"name": "pooled_vit", "width": 16, "depth": 2, "heads": 2, "patch": 4},
    },
    "classifier": {"loss": {"name": "cross_entropy"}, "train": {"grad_cache": 4}},
    "weight_masking": {"loss": {"name": "cross_entropy"}, "method": {"name": "weight_masking"}},
    "neighbours": {"loss": {"name": "barlow_twins"}, "method": {"name": "neighbours"}},
    "continual": {"loss": {"name": "sy_con"}},
    "hybrid_distill": {"loss": {"name": "token_relations"}, "encoder": {**SMALL_VIT, "depth": 3}},
    "mto": {"loss": {"name": "masked_regression"}, "method": {"name": "mto"}},
    "alit": {
        "loss": {"name": "masked_regression", "normalize_target": False},
        "encoder": {"name": "alit", "width": 16, "depth": 1, "heads": 2, "rounds": 2},
        "method": {"name": "alit", "halting": 0.1, "decoder_depth": 1},
    },
    "two_tower": {
        "loss": {"name": "infonce"},
        "data": {"name": "glosses"},
        "encoder": {"name": "text_transformer", "width": 16, "depth": 1, "heads": 2},
    },
    "two_tower, mixer": {
        "loss": {"name": "infonce"},
        "data": {"name": "glosses"},
        "encoder": {"name": "masked_mixer", "width": 16, "depth": 1},
    },
    "two_tower, graded": {
        "loss": {"name": "pearson"},
        "data": {"name": "glosses", "kind": "graded"},
        "encoder": {"name": "text", "width": 16, "hidden": 16, "buckets": 64},
    },
    "two_tasks": {
        "loss": {"name": "infonce"},
        "data": {"name": "glosses", "kind": "tasks"},
        "method": {"name": "two_tasks"},
        "encoder": {"name": "text", "width": 16, "hidden": 16, "buckets": 64},
    },
    "image_text": {
        "loss": {"name": "infonce", "learn": ["temperature"]},
        "data": {"name": "captions", "count": 64},
        "encoder": {**SMALL_VIT, "pooling": "max"},
    },
    "soft_masks": {
        "method": {"name": "soft_masks"},
        "data": {"name": "captions", "count": 64},
        "encoder": {**SMALL_VIT, "heads": 4},
    },
    "simcse": {"loss": {"name": "infonce"}, **SENTENCES},
    "unsee": {"loss": {"name": "corinfomax"}, "method": {"name": "unsee"}, **SENTENCES},
    "language": {"loss": {"name": "cross_entropy"}, **SENTENCES},
    "language, MAE-LM": {"loss": {"name": "cross_entropy"}, "method": {"style": "mae_lm"}, **SENTENCES},
    "language, low rank and channels": {
        "loss": {"name": "cross_entropy"},
        **SENTENCES,
        "encoder": {**SENTENCES["encoder"], "rank": 2, "channels": 2},
    },
    "language, dropping": {"loss": {"name": "cross_entropy"}, "method": {"keep": 4}, **SENTENCES},
    "infoprompt": {
        "loss": {"name": "cross_entropy"},
        "method": {"name": "infoprompt"},
        **SENTENCES,
        "encoder": {**SENTENCES["encoder"], "prompt": 2},
    },
    "electra": {"loss": {"name": "replaced_tokens"}, **SENTENCES},
    "exlm": {"loss": {"name": "dag_likelihood"}, **SENTENCES},
    "exlm, rotary": {
        "loss": {"name": "dag_likelihood"},
        **SENTENCES,
        "encoder": {**SENTENCES["encoder"], "positions": "rotary_2d"},
    },
    "click_through": {
        "loss": {"name": "cross_entropy"},
        "data": {"name": "clicks", "count": 200},
        "encoder": {"name": "fields", "numbers": "soft_bins"},
        "method": {"name": "click_through", "cross_layers": 2},
    },
    "topic_model": {
        "loss": {"name": "topic_elbo"},
        "data": {"name": "documents"},
        "encoder": {"name": "text", "width": 16, "hidden": 16, "buckets": 64},
    },
    "mined_negatives": {
        "loss": {"name": "infonce"},
        "data": {"name": "glosses"},
        "method": {"name": "mined_negatives"},
        "encoder": {"name": "text", "width": 16, "hidden": 16, "buckets": 64},
    },
    "sharpness": {"loss": {"name": "infonce"}, "optimizer": {"name": "sam:adamw", "clip_norm": 1.0}},
}


def chosen_for(name, folder):
    """What to choose for a run of two epochs; ``folder`` is where a teacher can be put."""
    chosen = RUNS[name]
    encoder = {"encoder": SMALL_VIT, **chosen}["encoder"]
    chosen = {**chosen, "encoder": encoder, "train": {"batch_size": 16, "epochs": 2, **chosen.get("train", {})}}
    if name == "hybrid_distill":
        _, home = session.start({**chosen, "loss": {"name": "infonce"}}, out=folder / "teacher")
        home.close()
        chosen["method"] = dict.fromkeys(("relations_of", "features_of"), str(folder / "teacher"))
    return chosen
