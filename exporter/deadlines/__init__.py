"""Announced ends of addresses, paths and channels, told for what the config uses."""
