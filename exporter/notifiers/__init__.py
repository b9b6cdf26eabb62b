"""One receiver a file: alert in, HTTP request out; reply in, outcome out."""
