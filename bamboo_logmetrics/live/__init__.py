"""Servers of our own: the forwarding proxy and the receiver of telemetry."""
