"""May I trade here now? One answer from what is known, closed wherever that is not enough."""
