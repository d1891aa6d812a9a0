"""Commands over datasets and the jobs that work on them."""
