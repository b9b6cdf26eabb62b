"""What several simulated venues of one company share."""
