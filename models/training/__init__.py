"""Training of the shipped models: one command per model, run in the training environment, never on the box."""
