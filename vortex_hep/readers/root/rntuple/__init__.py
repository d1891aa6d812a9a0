"""RNTuples: fields, columns and pages as tables, and back."""
