"""Retrieval over document corpora, for AgentFlow."""
