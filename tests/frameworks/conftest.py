"""The fixtures of tests with a provider on loopback."""

from support.provider_fixtures import no_errors_inside, server

__all__ = ["no_errors_inside", "server"]
