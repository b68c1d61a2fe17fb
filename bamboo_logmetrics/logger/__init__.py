"""The application's side: loggers, the stdlib's handler, and opening a log."""
