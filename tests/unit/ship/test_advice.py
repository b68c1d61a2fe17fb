from __future__ import annotations

import pytest

from bamboo_logmetrics.ship.advice import advice


@pytest.mark.parametrize(
    ("status", "error", "port", "remedy"),
    [
        (401, "401 Unauthorized: no org id", 3100, "give --tenant"),
        (401, "401 Unauthorized: ", 3100, "check BAMBOO_LOGMETRICS_SHIP_USER"),
        (403, "403 Forbidden", 9200, "permission denied"),
        (404, "404 Not Found: page", 3100, "check the URL"),
        (404, "404 Not Found: page", 3000, "Loki's is 3100"),
        (0, "RemoteProtocolError: illegal status line", 4317, "the one for HTTP is 4318"),
        (0, "ConnectError: nobody", 9300, "the one for HTTP is 9200"),
        (0, "ConnectError: [SSL: WRONG_VERSION_NUMBER] wrong version number", 9200, "give a URL with http"),
        (400, "400 Bad Request: Client sent an HTTP request to an HTTPS server.", 3100, "give a URL with https"),
        (400, "400 Bad Request: The plain HTTP request was sent to HTTPS port", 443, "give a URL with https"),
        (400, 'unsupported path requested: "/loki/api/v1/push"', 9428, "_msg_field=event,message,body.stringValue"),
        (503, "503 Service Unavailable", 3100, ""),
    ],
)
def test_the_remedy(status, error, port, remedy):
    """Answers about address, credentials and tenant name the remedy; others name none."""
    found = advice(status, error, port)
    assert remedy in found
    assert bool(remedy) == bool(found)
