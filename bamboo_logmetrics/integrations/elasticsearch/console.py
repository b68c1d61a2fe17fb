"""Requests as text for the console of the Dev Tools of Kibana and OpenSearch Dashboards."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from bamboo_logmetrics.integrations.elasticsearch.requests import Request


def console(requests: Iterable[Request]) -> str:
    """Return requests as the console reads them."""
    return "\n".join(f"{request.method} {request.path}\n{_pretty(request.body)}\n" for request in requests)


def _pretty(body: dict[str, Any]) -> str:
    """Return JSON in which a text of several lines stands between triple quotes, a syntax of the console."""
    marks = {text: f"@{number}@" for number, text in enumerate(_long_texts(body))}
    pretty = json.dumps(_replace(body, marks), indent=2, ensure_ascii=False)
    for text, mark in marks.items():
        pretty = pretty.replace(f'"{mark}"', f'"""\n{text.rstrip()}\n"""')
    return pretty


def _long_texts(data: Any) -> list[str]:
    if isinstance(data, str):
        return [data] if "\n" in data else []
    items = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return [text for item in items for text in _long_texts(item)]


def _replace(data: Any, marks: dict[str, str]) -> Any:
    if isinstance(data, dict):
        return {key: _replace(value, marks) for key, value in data.items()}
    if isinstance(data, list):
        return [_replace(item, marks) for item in data]
    return marks.get(data, data) if isinstance(data, str) else data
