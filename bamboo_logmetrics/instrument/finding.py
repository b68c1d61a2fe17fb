"""The HTTP clients inside an object, such as the client of an SDK, found by what they can do."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

_DEEPEST = 5  # attributes from an SDK's client to its HTTP client; mistralai has two, cohere three
_MOST_LOOKED_AT = 5_000  # objects
_NO_CLIENTS = (str, bytes, int, float, complex, type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)


def http_clients(root: object) -> list[Any]:
    """Return the HTTP clients that an object is or holds in its attributes, those nearest first."""
    clients = []
    seen = {id(root)}
    queue = deque([(root, 0)])
    while queue and len(seen) < _MOST_LOOKED_AT:
        thing, depth = queue.popleft()
        if is_http_client(thing):
            clients.append(thing)
        elif depth < _DEEPEST:
            for value in _attributes(thing):
                if id(value) not in seen:
                    seen.add(id(value))
                    queue.append((value, depth + 1))
    return clients


def is_http_client(thing: object) -> bool:
    """Return True for a client of httpx, httpx2 or a package like them."""
    return bool(family_name(type(thing))) and {"_transport", "_mounts"} <= vars(thing).keys()


def family_name(kind: type) -> str:
    """Return the package that a class of clients comes from; empty if it is none."""
    for cls in kind.__mro__:
        if cls.__name__ in {"Client", "AsyncClient"} and "_transport_for_url" in vars(cls):
            name = cls.__module__.partition(".")[0]
            return name if hasattr(sys.modules.get(name), "AsyncByteStream") else ""
    return ""


def is_async(client: object) -> bool:
    """Return True for an HTTP client that is async."""
    return any(cls.__name__ == "AsyncClient" for cls in type(client).__mro__)


def _attributes(thing: object) -> Iterator[object]:
    """Yield the values that an instance holds, without calling any of its properties."""
    if isinstance(thing, _NO_CLIENTS):
        return
    try:
        values = list(vars(thing).values())
    except TypeError:  # no __dict__
        values = []
    for cls in type(thing).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            values.append(_slot(vars(cls).get(name), thing))
    yield from values


def _slot(member: Any, thing: object) -> object:
    try:
        return member.__get__(thing)
    except AttributeError:  # nothing is there, or the name is a private one, which the class has in another form
        return None
