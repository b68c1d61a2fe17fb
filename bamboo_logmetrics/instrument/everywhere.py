"""Every client that is made from now on: the classes of httpx and httpx2 wrap their own transports.

A package that is not imported yet is changed as soon as it is, so that nothing is imported before its time.
"""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from bamboo_logmetrics.instrument.finding import family_name, is_http_client
from bamboo_logmetrics.instrument.google_genai import EveryClient
from bamboo_logmetrics.instrument.shield import shielded
from bamboo_logmetrics.instrument.wrapping import is_wrapped, unwrap, wrap

if TYPE_CHECKING:
    from bamboo_logmetrics.instrument.settings import Settings

_FAMILIES = ("httpx", "httpx2")
_CLASSES = ("Client", "AsyncClient")
_MOST_NAMED = 5  # clients in the warning

Init = Callable[..., None]


class _State:
    """The state of this process."""

    def __init__(self) -> None:
        self.settings: Settings | None = None  # None: switched off
        self.originals: dict[type, tuple[Init, Init]] = {}  # by class: its own __init__, and the one in its place
        self.clients: WeakSet[Any] = WeakSet()  # those that were wrapped here
        self.is_warned = False
        self.google_genai = EveryClient()


_state = _State()


def enable(settings: Settings) -> None:
    """Instrument each client that is made from now on; a second call replaces the settings."""
    is_first = _state.settings is None
    _state.settings = settings
    for client in list(_state.clients):
        wrap(client, settings)
    for name in _FAMILIES:
        if name in sys.modules:
            _change(sys.modules[name])
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    if is_first:
        _warn_of_earlier(settings)


def disable() -> None:
    """Undo :func:`enable`."""
    _state.settings = None
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    for cls, (original, ours) in list(_state.originals.items()):
        if vars(cls).get("__init__") is ours:  # else another package has changed it since; ours does nothing now
            cls.__init__ = original  # type: ignore[misc]
            del _state.originals[cls]
    for client in list(_state.clients):
        unwrap(client)
    _state.clients.clear()
    _state.google_genai.undo()


def _change(package: ModuleType) -> None:
    """Have the clients of a package wrapped as they are made."""
    for name in _CLASSES:
        cls = getattr(package, name, None)
        if not isinstance(cls, type) or not family_name(cls) or cls in _state.originals:
            continue
        original = cls.__init__  # type: ignore[misc]
        ours = _wrapping(original)
        _state.originals[cls] = original, ours
        cls.__init__ = ours  # type: ignore[misc]


def _wrapping(original: Init) -> Init:
    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        original(self, *args, **kwargs)
        _wrap_new(self)

    return __init__


@shielded
def _wrap_new(client: Any) -> None:
    if _state.settings is not None and not is_wrapped(client):
        _state.google_genai.send_by_httpx()  # it makes an HTTP client as soon as it is used
        wrap(client, _state.settings)
        _state.clients.add(client)


class _Finder:
    """A finder of modules that only notices when a family is imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of the next finder that has one, which changes the module once it is executed."""
        if name not in _FAMILIES:
            return None
        for finder in sys.meta_path:
            find_spec = getattr(finder, "find_spec", None)
            if finder is self or find_spec is None:
                continue
            spec: ModuleSpec | None = find_spec(name, path, target)
            if spec is not None:
                _notice_execution(spec)
                return spec
        return None


@shielded
def _notice_execution(spec: ModuleSpec) -> None:
    """Have a module changed after its loader has executed it."""
    loader: Any = spec.loader
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        if module.__name__ == spec.name and _state.settings is not None:
            shielded(_change)(module)

    loader.exec_module = exec_module


@shielded
def _warn_of_earlier(settings: Settings) -> None:
    """Name the clients that exist already, once for the process: their requests are not observed."""
    if _state.is_warned:
        return
    kinds = tuple(_state.originals)
    # by type(), never by isinstance: that would ask lazy proxies for their class
    earlier = [thing for thing in gc.get_objects() if kinds and issubclass(type(thing), kinds)]
    names = sorted({name for client in earlier if (name := _name_of_uncovered(client, settings))})
    if not names:
        return
    _state.is_warned = True
    shown = ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
    text = f"clients that were made before instrument() are not covered: {shown}; call instrument(client) for each"
    settings.warn(text)


def _name_of_uncovered(client: Any, settings: Settings) -> str | None:
    """Return a name for a client that is not instrumented and may send requests to a provider; else None."""
    if not is_http_client(client) or is_wrapped(client):
        return None
    host = client.base_url.host
    if host and not settings.covers(host):
        return None
    name = f"{type(client).__module__}.{type(client).__qualname__}"
    return f"{name} ({host})" if host else name
