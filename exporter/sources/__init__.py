"""Drive a venue over any transport."""
