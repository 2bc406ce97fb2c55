"""PyTorch losses that gather other ranks' rows by themselves: of libraries, and small ones that fail in every way.

Imported in each process that ``check --ranks W --spawn`` starts.
"""

import logging
import os
import sys
import time
import types
from pathlib import Path

import torch
import torch.distributed.nn
import torch.nn.functional as F
from torch import distributed

sys.path.insert(0, str(Path(__file__).parents[1] / "crosscheck"))
from test_libraries import lightly_loss, open_clip_loss, without_its_packages


def whole_batch(x):
    return torch.cat(torch.distributed.nn.all_gather(x))


def own_anchors(a, b, temperature, gathered=whole_batch):
    u, v, all_u, all_v = (F.normalize(x, dim=1) for x in (a, b, gathered(a), gathered(b)))
    target = torch.arange(len(a)) + distributed.get_rank() * len(a)
    return (
        F.cross_entropy(u @ all_v.t() / temperature, target) + F.cross_entropy(v @ all_u.t() / temperature, target)
    ) / 2


def own_rows_only(a, b, temperature):
    return own_anchors(a, b, temperature, lambda x: torch.cat([x] * distributed.get_world_size()))


def raises_on_rank_1(a, b):
    if distributed.get_rank() == 1:
        raise RuntimeError("no memory left")
    return own_anchors(a, b, 0.1)


def ends_on_rank_1(a, b):
    if distributed.get_rank() == 1:
        os._exit(9)
    return own_anchors(a, b, 0.1)


def waits_on_rank_1(a, b):
    if distributed.get_rank() == 1:
        Path(os.environ["PROCESS_FILE"]).write_text(str(os.getpid()))
        time.sleep(1000)
    return own_anchors(a, b, 0.1)


# Libraries.


def lightly_nt_xent(a, b):
    return lightly_loss("ntx_ent_loss", "NTXentLoss")(temperature=0.1, gather_distributed=True)(a, b)


def lightly_dcl(a, b):
    return lightly_loss("dcl_loss", "DCLLoss")(temperature=0.1, gather_distributed=True)(a, b)


def lightly_barlow_twins(a, b):
    return lightly_loss("barlow_twins_loss", "BarlowTwinsLoss")(gather_distributed=True)(a, b)


def lightly_vicreg(a, b):
    return lightly_loss("vicreg_loss", "VICRegLoss")(gather_distributed=True)(a, b)


def lightly_tico(a, b):
    return lightly_loss("tico_loss", "TiCoLoss")(gather_distributed=True)(a, b)


def _open_clip(a, b, temperature, **options):
    loss = open_clip_loss("ClipLoss")(rank=distributed.get_rank(), world_size=distributed.get_world_size(), **options)
    return loss(F.normalize(a, dim=1), F.normalize(b, dim=1), 1 / temperature)


def open_clip_whole(a, b, temperature):
    return _open_clip(a, b, temperature)


def open_clip_whole_with_gradient(a, b, temperature):
    return _open_clip(a, b, temperature, gather_with_grad=True)


def open_clip_local(a, b, temperature):
    return _open_clip(a, b, temperature, local_loss=True)


def open_clip_local_with_gradient(a, b, temperature):
    return _open_clip(a, b, temperature, local_loss=True, gather_with_grad=True)


def _sentence_gather():
    return without_its_packages(
        "sentence_transformers.util.distributed",
        "all_gather_with_grad",
        transformers__utils={"logging": types.SimpleNamespace(get_logger=logging.getLogger)},
        sentence_transformers__util__environment={"is_dist_initialized": distributed.is_initialized},
        sentence_transformers__util__misc={"disable_logging": None},
        sentence_transformers__util__tensor={"_move_tensors_to_cpu": None, "_move_tensors_to_device": None},
    )


def sentence_transformers_ranking(a, b):
    def cosines(x, y):
        return F.normalize(x, dim=1) @ F.normalize(y, dim=1).t()

    util = {"all_gather_with_grad": _sentence_gather(), "cos_sim": cosines, "get_rank": distributed.get_rank}
    ranking = without_its_packages(
        "sentence_transformers.sentence_transformer.losses.multiple_negatives_ranking",
        "MultipleNegativesRankingLoss",
        sentence_transformers__util={**util, "similarity_fct_name": None},
        sentence_transformers__base__losses__merged_forward={"embed_columns": None},
        sentence_transformers__sentence_transformer__model={"SentenceTransformer": None},
    )
    loss = ranking(torch.nn.Identity(), scale=10.0, similarity_fct=cosines, gather_across_devices=True)
    return loss.compute_loss_from_embeddings([a, b], None)
