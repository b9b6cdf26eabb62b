"""One watched exchange, put together from probes, streams and books; prices compared."""
