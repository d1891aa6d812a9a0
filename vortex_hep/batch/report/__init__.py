"""Reports of a job: progress, names on a dashboard, a summary, an HTML page."""
