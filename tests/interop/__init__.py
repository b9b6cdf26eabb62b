"""Other people's clients against the simulated venues: `make interop` runs them.

What they asked for is recorded, and asked again by `test_recorded.py` in every run of the tests.
"""
