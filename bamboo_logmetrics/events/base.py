"""How an event class is made: the base of every model, and the one decorator.

An event can be handed to another thread by reference because nothing can
change it: it is a frozen dataclass, and each of its values is immutable.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from bamboo_logmetrics.events import checks, times

if TYPE_CHECKING:
    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Any:
        """Stand in for the type checkers' decorator, which has no effect at run time."""
        return lambda decorator: decorator


C = TypeVar("C", bound="type[Model]")

# The names are the rules: unsigned 64, 32 and 16 bit counts, milliseconds, a non-empty text.
U64 = int
U32 = int
U16 = int
Millis = int
Id = str

_COUNT = "Pass a count, such as 0 or 1234."
_u64 = checks.unsigned(checks.U64_MAX, _COUNT)

# annotation -> the rule of its values; model() adds the classes as it makes them
RULES: dict[str, checks.Check] = {
    "str": checks.text,
    "str | None": checks.optional(checks.text),
    "Id": checks.non_empty,
    "bool": checks.flag,
    "U64": _u64,
    "U64 | None": checks.optional(_u64),
    "U32": checks.unsigned(checks.U32_MAX, _COUNT),
    "U16": checks.unsigned(checks.U16_MAX, "Pass an HTTP status code; 0 means no response."),
    "Millis": checks.millis,
    "datetime": checks.utc,
}


def _same(value: Any) -> Any:
    return value


def _is_none(value: Any) -> bool:
    return value is None


# annotation -> what dataclasses-json is told (the form that its config() returns, written
# out because importing it takes 150 ms). "decoder" is always given: without one it turns
# '5' into 5 and 'false' into True; the rules above refuse such values instead.
JSON_RULES: dict[str, dict[str, Callable[[Any], Any]]] = {
    "datetime": {"encoder": times.format_utc, "decoder": times.parse_utc},
    "U64 | None": {"decoder": _same, "exclude": _is_none},
}


MODELS: dict[str, type[Model]] = {}  # by name, as model() makes them


class Model:
    """Base of events and their parts.

    ``_extra`` is the JSON text of keys that a newer writer sent and this version does
    not know. It is not a field: not in init, repr or ``==``.
    """

    __slots__ = ("_extra",)
    _extra: str
    _names: ClassVar[tuple[str, ...]] = ()
    _checks: ClassVar[tuple[tuple[str, str, checks.Check], ...]] = ()
    _parts: ClassVar[Mapping[str, type[Model]]] = {}  # the fields that hold a model themselves

    def __post_init__(self) -> None:
        for name, where, check in self._checks:
            given = getattr(self, name)
            kept = check(where, given)
            if kept is not given:
                object.__setattr__(self, name, kept)

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild, (type(self), {name: getattr(self, name) for name in names_of(type(self))}, self.extra)

    @property
    def extra(self) -> str | None:
        """The unknown keys this object was read with, as JSON text, or None."""
        return getattr(self, "_extra", None)

    def with_extra(self, extra: str | None) -> Self:
        """Attach the unknown keys; only to an object that nobody else has seen yet."""
        if extra:
            object.__setattr__(self, "_extra", extra)
        return self


def names_of(cls: type[Model]) -> tuple[str, ...]:
    """Return the names of the fields of ``cls``, in order."""
    return cls._names


def rebuild(cls: type[Model], values: dict[str, Any], extra: str | None) -> Model:
    """Make the object of a pickle or a copy, without checking what was checked before."""
    made = cls.__new__(cls)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made.with_extra(extra)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(dataclasses.field,))
def model(cls: C) -> C:
    """Make ``cls`` a frozen, slotted, keyword-only dataclass whose values are checked."""
    made: Any = dataclass(frozen=True, slots=True, kw_only=True)(cls)
    for item in dataclasses.fields(made):
        rule = JSON_RULES.get(str(item.type), {"decoder": _same})
        item.metadata = MappingProxyType({"dataclasses_json": rule})
    made._names = tuple(item.name for item in dataclasses.fields(made))
    made._checks = tuple(
        (item.name, f"{made.__name__}.{item.name}", RULES[str(item.type)]) for item in dataclasses.fields(made)
    )
    made._parts = {
        item.name: MODELS[part] for item in dataclasses.fields(made) if (part := item.type.split(" ")[0]) in MODELS
    }
    MODELS[made.__name__] = made
    RULES[made.__name__] = checks.instance(made)
    RULES[f"{made.__name__} | None"] = checks.optional(RULES[made.__name__])
    return cast("C", made)


def snake(name: str) -> str:
    """Return ``RoundCompleted`` as ``round_completed``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
