"""The relay: from an Alertmanager post to messages people read."""
