"""Classical coding of columns, and the choice among the coders."""
