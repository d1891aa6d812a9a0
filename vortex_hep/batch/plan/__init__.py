"""Planning of jobs: inputs, outputs, the model, and checks before the start."""
