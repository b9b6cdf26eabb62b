"""Alerts pushed straight to every Alertmanager."""
