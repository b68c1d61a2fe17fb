"""OpenTelemetry's logs and spans as events: tables for programs, and both forms of OTLP."""
