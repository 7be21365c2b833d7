"""Metrics that run what a prediction says."""
