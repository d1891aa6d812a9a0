"""Arrays in memory, of NumPy and Awkward Array, as tables of columns."""
