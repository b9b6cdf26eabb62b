"""The WebSocket client: connection, message assembly, receive queue, keepalive."""
