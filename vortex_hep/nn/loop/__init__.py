"""The training loop of transformers: data, steps, snapshots, recipes."""
