"""One command of the command line a file; found by name."""
