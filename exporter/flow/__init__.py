"""Queues, retries, rate limits, circuit breakers, and storage for what must not be lost."""
