"""YAML to frozen Config: every default, every bound, every complaint."""
