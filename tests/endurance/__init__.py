"""Kills and damaged files, hundreds of them: ``make kills`` and ``make corruptions``."""
