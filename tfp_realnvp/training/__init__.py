"""Training: the step, the loop and its checkpoints."""

from tfp_realnvp.training.adam import Adam
from tfp_realnvp.training.checkpoint import CheckpointError, claim, latest, read_config, restore
from tfp_realnvp.training.loop import train
from tfp_realnvp.training.model import FlowModel, compiles_by_default
from tfp_realnvp.training.non_finite import NonFiniteError

__all__ = [
    "Adam",
    "CheckpointError",
    "FlowModel",
    "NonFiniteError",
    "claim",
    "compiles_by_default",
    "latest",
    "read_config",
    "restore",
    "train",
]
