"""Rows of columns as tokens, the symbols that networks predict, and the coder of these symbols."""
