"""Records on their way from the caller to the worker: queued record, snapshots of values, levels."""
