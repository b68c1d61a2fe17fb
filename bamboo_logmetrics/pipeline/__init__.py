"""The way of a record from the caller to the file: channel, worker, step, and the counters."""
