"""One statistical test a file: numbers in, scores out."""
