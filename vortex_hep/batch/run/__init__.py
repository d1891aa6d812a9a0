"""Running jobs: tasks submitted, retried, cleaned up after."""
