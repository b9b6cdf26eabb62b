"""A program for each client, run by the interpreter of a virtual environment of its own.

They import nothing of the exporter. Each is given the simulated venues' base URLs, and prints
one line of JSON for each cell of the table.
"""
