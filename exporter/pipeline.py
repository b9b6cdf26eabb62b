"""One tick: signals, scores, verdicts. No I/O."""
