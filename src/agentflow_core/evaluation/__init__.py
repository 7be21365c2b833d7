"""Rollout over a benchmark, and evaluation of what came out."""

from __future__ import annotations

from agentflow_core.evaluation.api import RolloutResults, arollout, rollout
from agentflow_core.evaluation.config import DataConfig, RolloutConfig
from agentflow_core.evaluation.pipeline import run_rollout
from agentflow_core.evaluation.quick import aquick_rollout, quick_rollout

__all__ = [
    "DataConfig",
    "RolloutConfig",
    "RolloutResults",
    "aquick_rollout",
    "arollout",
    "quick_rollout",
    "rollout",
    "run_rollout",
]
