"""A job at work: tasks handed out, retried, cleaned up after."""
