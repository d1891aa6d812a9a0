"""Training event models: fields, context, relations between columns, the optimiser."""
