"""What several simulated venues of one house share."""
