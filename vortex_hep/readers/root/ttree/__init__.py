"""TTrees: branches and baskets as columns, and back."""
