"""Metrics for questions about documents."""
