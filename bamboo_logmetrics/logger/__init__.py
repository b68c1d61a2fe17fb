"""Loggers: code that runs in the application's threads and puts records into a pipeline."""
