"""What people see of a job: progress, names on a dashboard, a summary, an HTML report."""
