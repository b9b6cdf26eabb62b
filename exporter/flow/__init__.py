"""How work waits, retries, is refused and is never lost."""
