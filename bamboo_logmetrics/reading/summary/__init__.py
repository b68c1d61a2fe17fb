"""Summaries of logs: sums, rates and quantiles, in all and by a key."""
