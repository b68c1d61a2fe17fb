"""Answers in protobuf are what the generated classes read."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from bamboo_logmetrics.importers.otlp.records import METRIC
from bamboo_logmetrics.live.telemetry_answers import JSON, PROTOBUF, Outcome, TelemetryError, response_of, status_of


@pytest.mark.parametrize("rejected", [0, 1, 127, 128, 300, 2**40])
@pytest.mark.parametrize("message", ["", "a", "ü" * 200])
def test_a_partial_success(rejected, message):
    """Number and text of a partial success arrive."""
    body = response_of(Outcome(rejected, message), METRIC, PROTOBUF)
    partial = ExportMetricsServiceResponse.FromString(body).partial_success
    assert (partial.rejected_data_points, partial.error_message) == (rejected, message)
    assert ExportMetricsServiceResponse.FromString(body).HasField("partial_success") is bool(rejected or message)


def test_an_error_in_both_encodings():
    """An error has code and message."""
    error = TelemetryError(400, 3, "no")
    assert status_of(error, PROTOBUF) == b"\x08\x03\x12\x02no"
    assert status_of(error, JSON) == b'{"code":3,"message":"no"}'
