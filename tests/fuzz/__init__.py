"""Parsers against millions of wounded inputs: ``python -m tests.fuzz``."""
