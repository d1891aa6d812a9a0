"""What a job is to do: inputs, outputs, the model, and what is wrong before it begins."""
