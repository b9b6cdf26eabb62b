"""Known deadlines of APIs."""
