"""Optimisers, schedules, clipping, moving averages and gradient caching; ``pages_of("optimiser")``: what users name."""

from mini_repr.optim.adamw import AdamW
from mini_repr.optim.clip import clip_by_global_norm, global_norm
from mini_repr.optim.descended import descended
from mini_repr.optim.ema import cosine_momentum, update_ema
from mini_repr.optim.factored_output import FactoredOutput
from mini_repr.optim.grad_cache import backward_in_chunks
from mini_repr.optim.optimizer import decays
from mini_repr.optim.reweight import REWEIGHTINGS, annealed_temperature
from mini_repr.optim.sam import SAM
from mini_repr.optim.schedule import constant, cosine_with_warmup
from mini_repr.optim.sgd import SGD
from mini_repr.optim.soup import average_parameters, fuse_by_deviation
