"""What travels from the caller to the worker."""
