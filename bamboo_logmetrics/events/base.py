"""How an event class is made: the base of every model, and the one decorator.

An event can be handed to another thread by reference because nothing can change it: it is a frozen dataclass, and
each of its values is immutable.

To the application it is a dataclass: ``fields``, ``replace``, ``asdict``, ``match`` and dataclasses-json work as ever.
Underneath it is a msgspec Struct, whose constructor is one call into C; the ``__init__`` of a frozen, slotted
dataclass takes ten times as long (docs/design.md). A class goes through here once:

1. ``class RoundCompleted(ChatEvent, frozen=True, kw_only=True)``: msgspec makes slots, constructor, ``==`` and hash;
   ``__init_subclass__`` writes the check of its values, which msgspec calls at the end of each construction.
2. ``@model``: the dataclass form, and its entry in the tables. A class of the application has no decorator: its
   dataclass form is made when somebody asks for its fields.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, TypeVar

import msgspec
from msgspec.structs import force_setattr

from bamboo_logmetrics.events import times, validators

if TYPE_CHECKING:
    from enum import Enum

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


class Rule(NamedTuple):
    """What the values of an annotation must be.

    Args:
        fits: an expression that holds for a value ``{0}`` that is right as it is, as nearly all are.
        check: for all others: makes the value right, or says what is wrong.
    """

    fits: str
    check: validators.Check


def optional(rule: Rule) -> Rule:
    """Return ``rule`` with None accepted."""
    return Rule(f"{{0}} is None or {rule.fits}", validators.optional(rule.check))


_SMALL = 2**30 - 1  # CPython compares such numbers several times as fast; larger ones are looked at more closely


def _unsigned(limit: int, remedy: str) -> Rule:
    return Rule(
        f"type({{0}}) is int and {{0}} >= 0 and {{0}} <= {min(limit, _SMALL)}", validators.unsigned(limit, remedy)
    )


_COUNT = "Pass a count, such as 0 or 1234."
_TEXT = Rule("type({0}) is str", validators.text)
_U64 = _unsigned(validators.U64_MAX, _COUNT)

# annotation -> the rule of its values; model() and add_status() add the classes as they are made
RULES: dict[str, Rule] = {
    "str": _TEXT,
    "str | None": optional(_TEXT),
    "Id": Rule("type({0}) is str and {0}", validators.non_empty),
    "bool": Rule("{0} is True or {0} is False", validators.flag),
    "U64": _U64,
    "U64 | None": optional(_U64),
    "U32": _unsigned(validators.U32_MAX, _COUNT),
    "U16": _unsigned(validators.U16_MAX, "Pass an HTTP status code; 0 means no response."),
    "Millis": Rule(_U64.fits, validators.millis),
    "datetime": Rule("type({0}) is datetime and {0}.tzinfo is utc", validators.utc),
}

# annotations that an event class of the application may use beside the text, count and status rules
RULES["int"] = Rule(f"type({{0}}) is int and -{_SMALL} <= {{0}} <= {_SMALL}", validators.signed)
RULES["float"] = Rule("type({0}) is float and {0} - {0} == 0", validators.number)
RULES |= {f"{name} | None": optional(RULES[name]) for name in ("bool", "int", "float")}

# what the expressions of the rules speak of
_NAMES: dict[str, Any] = {"datetime": datetime, "utc": timezone.utc}


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


class _LazyFields:
    """``__dataclass_fields__`` of a class without ``@model``, made on first use.

    msgspec knows the fields only after ``__init_subclass__``.
    """

    def __get__(self, instance: object, owner: type[Model]) -> Any:
        make_dataclass_form(owner)
        return owner.__dataclass_fields__


def annotation_text(annotation: Any) -> str:
    """Return an annotation as the tables name it: ``blm.TokenUsage``, ``Optional[str]`` as ``str | None``."""
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    text = re.sub(r"[\w.]*\bOptional\[(.*)\]", r"\1 | None", text.strip())
    return re.sub(r"[\w.]*\.", "", text)


class _Kept:
    __slots__ = ("_extra",)


_set_extra = _Kept.__dict__["_extra"].__set__


class Model(_Kept, msgspec.Struct, frozen=True, kw_only=True, gc=False):  # gc: it can be in no cycle
    """Base of events and their parts.

    ``_extra`` is the JSON text of keys that a newer writer sent and this version does
    not know. It is not a field: not in init, repr or ``==``.
    """

    if TYPE_CHECKING:
        _extra: ClassVar[str]
    _names: ClassVar[tuple[str, ...]] = ()
    _checks: ClassVar[tuple[tuple[str, str, validators.Check], ...]] = ()
    _parts: ClassVar[Mapping[str, type[Model]]] = {}  # the fields that hold a model themselves
    _annotations: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls, **_: Any) -> None:
        own = {name: annotation_text(kind) for name, kind in inspect.get_annotations(cls).items()}
        cls._annotations = cls._annotations | {name: kind for name, kind in own.items() if "ClassVar" not in kind}
        cls._check_annotations()
        cls._names = tuple(cls._annotations)
        cls._checks = tuple(
            (name, f"{cls.__name__}.{name}", RULES[kind].check) for name, kind in cls._annotations.items()
        )
        parts = {name: kind.split(" ")[0] for name, kind in cls._annotations.items()}
        cls._parts = {name: MODELS[part] for name, part in parts.items() if part in MODELS}
        made: Any = cls
        made.__dataclass_fields__ = _LazyFields()
        made._validate = _compiled(cls._annotations)
        if "__post_init__" not in vars(cls):
            made.__post_init__ = made._validate

    @classmethod
    def _check_annotations(cls) -> None:
        """Raise TypeError for a field that a line cannot hold."""

    def _validate(self) -> None:
        """Check the values, and put right what may be put right."""

    def __post_init__(self) -> None:
        """Be called by msgspec at the end of each construction."""

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild, (type(self), {name: getattr(self, name) for name in self._names}, self.extra)

    def __copy__(self) -> Self:
        return type(self)(**{name: getattr(self, name) for name in self._names}).with_extra(self.extra)

    def __replace__(self, /, **changes: Any) -> Self:
        return dataclasses.replace(self, **changes)

    @property
    def extra(self) -> str | None:
        """The unknown keys this object was read with, as JSON text, or None."""
        return getattr(self, "_extra", None)

    def with_extra(self, extra: str | None) -> Self:
        """Attach the unknown keys; only to an object that nobody else has seen yet."""
        if extra:
            _set_extra(self, extra)
        return self


def names_of(cls: type[Model]) -> tuple[str, ...]:
    """Return the names of the fields of ``cls``, in order."""
    return cls._names


def rebuild(cls: type[Model], values: dict[str, Any], extra: str | None) -> Model:
    """Make the object of a pickle."""
    return cls(**values).with_extra(extra)


def _compiled(annotations: Mapping[str, str]) -> Callable[[Any], None]:
    """Return a method that looks at every value once, and at each more closely when one does not fit."""
    reads = [f"    {name} = self.{name}" for name in annotations]
    fits = " and ".join(f"({RULES[kind].fits.format(name)})" for name, kind in annotations.items())
    source = ["def validate(self):", *reads, f"    if not ({fits or True}):", "        check(self)"]
    made: dict[str, Any] = {}
    exec("\n".join(source), _NAMES | {"check": _check}, made)  # noqa: S102 - of the table above, as dataclasses does it
    validate: Callable[[Any], None] = made["validate"]
    return validate


def _check(self: Model) -> None:
    for name, where, check in self._checks:
        given = getattr(self, name)
        kept = check(where, given)
        if kept is not given:
            force_setattr(self, name, kept)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(msgspec.field,))
def model(cls: C) -> C:
    """Make ``cls`` a dataclass, frozen and keyword-only, and enter it into the tables."""
    make_dataclass_form(cls)
    MODELS[cls.__name__] = cls
    _add(cls, validators.instance(cls))
    return cls


def make_dataclass_form(cls: type[Model]) -> None:
    """Give ``cls`` the attributes of a frozen, keyword-only dataclass."""
    # not msgspec.structs.fields, which evaluates the annotations: an application may import their names for types only
    kinds = cls._annotations
    defaults = dict(zip(reversed(cls.__struct_fields__), reversed(cls.__struct_defaults__), strict=False))
    plain = dataclasses.make_dataclass(
        cls.__name__,
        [(name, kinds[name], _field(name, kinds[name], defaults)) for name in cls.__struct_fields__],
        frozen=True,
        kw_only=True,
        init=False,
        repr=False,
        eq=False,
    )
    made: Any = cls
    made.__dataclass_fields__ = plain.__dataclass_fields__  # type: ignore[attr-defined]
    made.__dataclass_params__ = plain.__dataclass_params__  # type: ignore[attr-defined]
    made.__setattr__, made.__delattr__ = _refuse_to_set, _refuse_to_delete


def add_status(cls: type[Enum], **json: Callable[[Any], Any]) -> None:
    """Enter an enumeration into the tables, with what dataclasses-json is to be told of it."""
    _add(cls, validators.member(cls))
    JSON_RULES[cls.__name__] = json


def _add(cls: type, check: validators.Check) -> None:
    name = cls.__name__
    _NAMES[name] = cls
    RULES[name] = Rule(f"type({{0}}) is {name}", check)
    RULES[f"{name} | None"] = optional(RULES[name])


def _field(name: str, annotation: str, defaults: Mapping[str, Any]) -> Any:
    """Return a field of a Struct as dataclasses knows it."""
    given = defaults.get(name, msgspec.NODEFAULT)
    default: dict[str, Any] = {}
    if factory := getattr(given, "factory", None):
        default["default_factory"] = factory
    elif given is not msgspec.NODEFAULT:
        default["default"] = given
    rule = JSON_RULES.get(annotation, {"decoder": _same})
    return dataclasses.field(**default, metadata=MappingProxyType({"dataclasses_json": rule}))


def _refuse_to_set(self: Model, name: str, _: object) -> NoReturn:
    msg = f"cannot assign to field {name!r}: a {type(self).__name__} is frozen"
    raise dataclasses.FrozenInstanceError(msg)


def _refuse_to_delete(self: Model, name: str) -> NoReturn:
    msg = f"cannot delete field {name!r}: a {type(self).__name__} is frozen"
    raise dataclasses.FrozenInstanceError(msg)


def snake(name: str) -> str:
    """Return ``RoundCompleted`` as ``round_completed``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
