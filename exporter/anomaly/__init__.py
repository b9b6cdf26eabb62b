"""Anomaly detection: signals sampled, scored by detectors, turned into incidents."""
