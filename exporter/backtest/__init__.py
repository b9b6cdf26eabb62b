"""Detectors scored on labelled series."""
