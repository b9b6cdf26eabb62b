"""exchange-exporter: tells, before the customers do, what is wrong with a crypto exchange."""

__version__ = "0.2.0"
