"""Probes of REST endpoints: schedule, request, what an answer means, latency and errors."""
