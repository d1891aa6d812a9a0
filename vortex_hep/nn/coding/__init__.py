"""Networks and coders together: chunks of tables to bytes and back, on any engine."""
