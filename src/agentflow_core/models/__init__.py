"""Chat models: providers, and the layers around them. Import the public names from here."""

from __future__ import annotations

from agentflow_core.models.accounting import Ledger, Spending
from agentflow_core.models.budget import Budget, BudgetedModel
from agentflow_core.models.config import BudgetConfig, ModelsConfig, RetryConfig, parse_budget
from agentflow_core.models.embedding import ModelEmbedder
from agentflow_core.models.opening import RunModels, open_models
from agentflow_core.models.structured import Asked, ask, parse_json

__all__ = [
    "Asked",
    "Budget",
    "BudgetConfig",
    "BudgetedModel",
    "Ledger",
    "ModelEmbedder",
    "ModelsConfig",
    "RetryConfig",
    "RunModels",
    "Spending",
    "ask",
    "open_models",
    "parse_budget",
    "parse_json",
]
