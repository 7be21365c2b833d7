"""Shells in confined sessions, for AgentFlow."""
