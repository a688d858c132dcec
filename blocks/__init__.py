"""Operator configuration as Prefect blocks."""
