"""Code that runs on workers, one file at a time."""
