"""The tagged JSON form, which the Rust system reads and writes (serde, externally tagged).

dataclasses-json does the conversion. Its functions are called directly: its decorator would replace ``from_json`` with
one that coerces values.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, NoReturn, TypeVar

from dataclasses_json import DataClassJsonMixin

from bamboo_logmetrics.errors import DecodeError
from bamboo_logmetrics.events.base import Model, names_of
from bamboo_logmetrics.events.validators import got

M = TypeVar("M", bound=Model)


def dumps(data: Any, **options: Any) -> str:
    """Return compact JSON; lone surrogates, which UTF-8 cannot hold, become U+FFFD.

    Args:
        data: plain data.
        options: keywords of ``json.dumps`` that take precedence.
    """
    separators = (",", ":") if options.get("indent") is None else None
    text = json.dumps(data, **{"ensure_ascii": False, "separators": separators, "allow_nan": False} | options)
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def keep(data: Any) -> str:
    """Return data that this version does not know as JSON text; raises DecodeError."""
    try:
        return dumps(data)
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"not JSON: {error}"
        raise DecodeError(msg) from None


def loads(text: str | bytes) -> Any:
    """Parse strict JSON; raises DecodeError."""
    try:
        return json.loads(text, parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        msg = f"not JSON: {error}"
        raise DecodeError(msg) from None


def _not_json(name: str) -> NoReturn:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def tag(family: str, variant: str, body: Any) -> dict[str, Any]:
    """Return the tagged form; a variant without a body is bare."""
    return {family: variant if body is None else {variant: body}}


def untag(data: Any) -> tuple[str, str, Any]:
    """Return family, variant and body of a tagged form, None for a bare variant; raises DecodeError."""
    family, inner = _only_item(data, "an event is {family: {variant: fields}} or {family: variant}")
    if isinstance(inner, str):
        return family, inner, None
    variant, body = _only_item(inner, f"{family} holds {{variant: fields}} or a variant")
    return family, variant, body


def _only_item(data: Any, rule: str) -> tuple[str, Any]:
    if isinstance(data, dict) and len(data) == 1:
        ((tag, inner),) = data.items()
        if isinstance(tag, str):
            return tag, inner
    msg = f"{rule}; {got(data)}"
    raise DecodeError(msg)


def encode(model: Model) -> dict[str, Any]:
    """Return the tagged form of an event, and of a part of one its fields."""
    form: dict[str, Any] = DataClassJsonMixin.to_dict(model)  # type: ignore[arg-type]
    return form


def encode_fields(model: Model, values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of one event as plain data, and the unknown keys it was read with.

    Args:
        model: the event.
        values: its fields, as dataclasses-json has converted those that have no encoder.
    """
    body = {}
    for item in dataclasses.fields(model):
        rule = item.metadata["dataclasses_json"]
        value = values[item.name]
        if not ("exclude" in rule and rule["exclude"](value)):
            body[item.name] = rule["encoder"](value) if "encoder" in rule else value
    for name in model._parts.keys() & body.keys():
        part = getattr(model, name)
        if part is not None and part.extra:
            body[name].update(loads(part.extra))
    if model.extra:
        body.update(loads(model.extra))
    return body


def decode(cls: type[M], body: Any) -> M:
    """Return the model of plain data; keys it has no field for are kept. Raises DecodeError."""
    if not isinstance(body, dict):
        msg = f"{cls.__name__} must be an object; {got(body)}"
        raise DecodeError(msg)
    known = {name: body[name] for name in names_of(cls) if name in body}
    unknown = {key: value for key, value in body.items() if key not in known}
    _require(cls, known)
    for name, part in cls._parts.items():
        if known.get(name) is not None:
            known[name] = decode(part, known[name])
    try:
        model: M = DataClassJsonMixin.from_dict.__func__(cls, known)  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        msg = f"{cls.__name__}: {error}"
        raise DecodeError(msg) from None
    return model.with_extra(keep(unknown) if unknown else None)


def _require(cls: type[Model], known: dict[str, Any]) -> None:
    for item in dataclasses.fields(cls):
        needed = item.default is dataclasses.MISSING
        if needed and known.get(item.name) is None:
            fault = "must not be null" if item.name in known else "is missing"
            msg = f"{cls.__name__}.{item.name} {fault}; an object read from JSON needs it"
            raise DecodeError(msg)
