"""Metric families, their bound children and their exposition."""
