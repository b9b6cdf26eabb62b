"""The status page for people and the same facts as JSON; filled with values, reads nothing."""
