"""Streams: session, connection, subscriptions, liveness, silence."""
