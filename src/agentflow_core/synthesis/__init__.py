"""Synthesis of training data: sampling, selection, questions and answers."""

from __future__ import annotations

from agentflow_core.synthesis.api import SynthesisResult, asynthesize, synthesize
from agentflow_core.synthesis.config import SynthesisConfig
from agentflow_core.synthesis.pipeline import run_synthesis

__all__ = ["SynthesisConfig", "SynthesisResult", "asynthesize", "run_synthesis", "synthesize"]
