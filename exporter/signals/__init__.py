"""One measured quantity a file: events in, numbers out."""
