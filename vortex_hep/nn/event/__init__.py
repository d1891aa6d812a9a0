"""The event model: small networks that run inside each event, in integers."""
