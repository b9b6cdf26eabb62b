"""Record streams, read recordings, replay them; the binary codec."""
