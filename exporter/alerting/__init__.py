"""Verdicts to Alertmanager; the relay from Alertmanager to people."""
