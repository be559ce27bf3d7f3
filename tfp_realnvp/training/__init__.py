"""Training: the step, the loop and its checkpoints, the strategies that share the work."""

from tfp_realnvp.training.adam import Adam
from tfp_realnvp.training.average import WeightAverage
from tfp_realnvp.training.checkpoint import CheckpointError, best_checkpoint, restore
from tfp_realnvp.training.density_model import compiles_by_default
from tfp_realnvp.training.folder import open_run, read_config, update_config
from tfp_realnvp.training.loop import train
from tfp_realnvp.training.metrics_log import read_metrics
from tfp_realnvp.training.model import FlowModel
from tfp_realnvp.training.muon import Muon
from tfp_realnvp.training.non_finite import NonFiniteError
from tfp_realnvp.training.optimizers import OPTIMIZERS, optimizer
from tfp_realnvp.training.schedules import SCHEDULES, schedule
from tfp_realnvp.training.signals import InterruptedTraining
from tfp_realnvp.training.strategies import NAMES as STRATEGIES
from tfp_realnvp.training.strategies import gather, is_chief, leave_together, number_of_workers, strategy
from tfp_realnvp.training.warm_up import WarmUp

__all__ = [
    "Adam",
    "CheckpointError",
    "FlowModel",
    "InterruptedTraining",
    "Muon",
    "NonFiniteError",
    "OPTIMIZERS",
    "SCHEDULES",
    "STRATEGIES",
    "WarmUp",
    "WeightAverage",
    "best_checkpoint",
    "compiles_by_default",
    "gather",
    "is_chief",
    "leave_together",
    "number_of_workers",
    "open_run",
    "optimizer",
    "read_config",
    "read_metrics",
    "restore",
    "schedule",
    "strategy",
    "train",
    "update_config",
]
