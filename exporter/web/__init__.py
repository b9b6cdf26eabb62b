"""Pages and API payloads: state in, HTML or JSON out."""
