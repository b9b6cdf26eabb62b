"""The command line: flags to config to app; the exit status."""
