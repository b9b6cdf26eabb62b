"""The web server, the status page and the API; they show values that they are given."""
