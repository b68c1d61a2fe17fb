"""Events within classes that dataclasses-json converts, such as a field ``events: list[SessionStarted]``.

To dataclasses-json an event is a dataclass. It calls the functions here whenever it converts one, at any depth: the
place where its library has the treatment of undefined keys. An event becomes its tagged form there, and of a tagged
form comes an event of its own class. So its kind is never lost, in a union of classes either.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.errors import DecodeError
from bamboo_logmetrics.events import registry
from bamboo_logmetrics.events.base import names_of

if TYPE_CHECKING:
    from bamboo_logmetrics.events.event import MetricsEvent


class _Action:
    """The functions that dataclasses-json calls; names and arguments are its own."""

    @staticmethod
    def handle_to_dict(obj: MetricsEvent, kvs: dict[str, Any]) -> dict[str, Any]:
        """Return the tagged form of an event.

        Args:
            obj: the event.
            kvs: its fields, as plain data where they have no encoder of their own.
        """
        from bamboo_logmetrics.events import tagged

        return obj._tagged(tagged.encode_fields(obj, kvs))

    @staticmethod
    def handle_from_dict(
        cls: type[MetricsEvent],  # noqa: PLW0211 - the library's name
        kvs: dict[str, Any],
    ) -> dict[str, Any]:
        """Return the fields of an event of ``cls``.

        Args:
            cls: the class that the application's class asks for.
            kvs: a tagged form, or the fields; either with the defaults of missing fields.

        Raises DecodeError if it is an event of another class, or ``cls`` is the base of several.
        """
        from bamboo_logmetrics.events import tagged

        if not hasattr(cls, "kind"):
            msg = (
                f"a field of type {cls.__name__} may hold events of many classes: name them, as SessionStarted |"
                " RoundStarted, or give the field metadata=config(decoder=MetricsEvent.from_dict)"
            )
            raise DecodeError(msg)
        family = next((key for key in kvs if key not in names_of(cls) and type(kvs[key]) in (dict, str)), None)
        if family in {known for known, _ in registry.VARIANTS}:
            event = cls.from_dict({family: kvs[family]})
            return {name: getattr(event, name) for name in names_of(cls)}
        parts = {name: tagged.decode(part, kvs[name]) for name, part in cls._parts.items() if type(kvs[name]) is dict}
        return {**kvs, **parts}


NESTED_CONFIG = {"undefined": SimpleNamespace(value=_Action)}
