"""The journal of a job: an SQLite database with one writer."""
