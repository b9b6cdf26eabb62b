"""The HTTP/1.1 client: connections, answers, proxies, TLS."""
