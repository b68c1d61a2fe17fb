"""Records to lines and lines to records, as pure functions."""
