"""From the caller to the file: the queue, the worker and the accounting."""
