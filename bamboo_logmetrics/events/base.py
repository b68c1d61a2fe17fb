"""The base class of events and their parts, and the decorator that makes a class of them.

An event is handed to the worker by reference. That is safe because it is frozen and each of its values is immutable.

For the application an event is a frozen dataclass: ``fields``, ``replace``, ``asdict``, ``match`` and dataclasses-json
work. Underneath it is a msgspec Struct. A Struct is constructed by one call into C; the ``__init__`` of a frozen,
slotted dataclass takes ten times as long (docs/decisions). Making a class takes two steps:

1. ``class RoundCompleted(ChatEvent, frozen=True, kw_only=True)``: msgspec makes slots, constructor, ``==`` and hash.
   ``__init_subclass__`` compiles the validation, which msgspec calls at the end of each construction.
2. ``@model`` adds what the dataclasses module looks for, and enters the class into the tables. A class of the
   application needs no decorator: the dataclass attributes are added when its fields are first read.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import wraps
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, Optional, TypeVar

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

# Names for annotations, each with a rule below: unsigned integers of 64, 32 and 16 bits, milliseconds, a non-empty str.
U64 = int
U32 = int
U16 = int
Millis = int
Id = str


class Rule(NamedTuple):
    """The rule for the values of one annotation.

    Args:
        fits: source of an expression that is true for a value ``{0}`` that needs no conversion; nearly all values.
        validate: the validator for every other value; it converts the value or raises.
    """

    fits: str
    validate: validators.Validator


def optional(rule: Rule) -> Rule:
    """Return ``rule`` with None accepted."""
    return Rule(f"{{0}} is None or {rule.fits}", validators.optional(rule.validate))


_SMALL = 2**30 - 1  # CPython compares ints of one digit several times as fast; larger ones take the validator


def _unsigned(limit: int, remedy: str) -> Rule:
    return Rule(
        f"type({{0}}) is int and {{0}} >= 0 and {{0}} <= {min(limit, _SMALL)}", validators.unsigned(limit, remedy)
    )


_COUNT = "Pass a count, such as 0 or 1234."
_TEXT = Rule("type({0}) is str", validators.text)
_U64 = _unsigned(validators.U64_MAX, _COUNT)

# annotation -> rule; model() and add_status() add each class when it is made
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

# additional annotations for the event classes of applications
RULES["int"] = Rule(f"type({{0}}) is int and -{_SMALL} <= {{0}} <= {_SMALL}", validators.signed)
RULES["float"] = Rule("type({0}) is float and {0} - {0} == 0", validators.number)
RULES |= {f"{name} | None": optional(RULES[name]) for name in ("bool", "int", "float")}

_TYPES = {"str": str, "Id": str, "bool": bool, "int": int, "float": float} | dict.fromkeys(
    ("U64", "U32", "U16", "Millis"), int
)

# the names that the expressions of the rules use
_NAMES: dict[str, Any] = {"datetime": datetime, "utc": timezone.utc}


def _same(value: Any) -> Any:
    return value


def _is_none(value: Any) -> bool:
    return value is None


# annotation -> field metadata for dataclasses-json, in the form that its config() returns (importing it takes 150 ms).
# A decoder is always set: without one dataclasses-json turns '5' into 5 and 'false' into True.
JSON_RULES: dict[str, dict[str, Callable[[Any], Any]]] = {
    "datetime": {"encoder": times.format_utc, "decoder": times.parse_utc},
    "U64 | None": {"decoder": _same, "exclude": _is_none},
}


MODELS: dict[str, type[Model]] = {}  # by class name

_SHORT = 128  # characters; nearly all texts are ids and names
_TEXTS = {"str": "len({0})", "Id": "len({0})", "str | None": "len({0} or '')"}  # source of the length, by annotation

# The event classes of this package of which no object with a longer text has been made yet. Their events need not be
# measured before they are queued.
SHORT_EVENTS: set[type] = set()


class _LazyFields:
    """Descriptor for ``__dataclass_fields__`` of a class without ``@model``; it adds the dataclass attributes.

    ``__init_subclass__`` cannot add them: msgspec sets the fields after it has run.
    """

    def __get__(self, instance: object, owner: type[Model]) -> Any:
        make_dataclass_form(owner)
        return owner.__dataclass_fields__


def type_of(annotation: str) -> Any:
    """Return the type that an annotation in the spelling of the tables names."""
    name = annotation.removesuffix(" | None")
    kind = _TYPES.get(name) or _NAMES[name]
    return kind if name == annotation else Optional[kind]  # noqa: UP045 - as an object it works with every Python


def annotations_of(cls: type) -> dict[str, Any]:
    """Return the annotations of ``cls`` itself. One with a name that only type checkers import is given as its text."""
    if sys.version_info >= (3, 14):  # they are evaluated only now
        from annotationlib import Format, get_annotations

        values = get_annotations(cls, format=Format.FORWARDREF)
        texts = get_annotations(cls, format=Format.STRING)
        return {name: texts[name] if "ForwardRef(" in repr(value) else value for name, value in values.items()}
    return inspect.get_annotations(cls)


def annotation_text(annotation: Any) -> str:
    """Return an annotation in the spelling of the tables, such as ``str | None`` for ``Optional[str]``."""
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    text = re.sub(r"\bForwardRef\(('[^']*')[^()]*\)", r"\1", text).replace("'", "").replace('"', "")
    text = re.sub(r"[\w.]*\bOptional\[(.*)\]", r"\1 | None", text.strip())
    return re.sub(r"[\w.]*\.", "", text)


class _Kept:
    __slots__ = ("_extra",)


_set_extra = _Kept.__dict__["_extra"].__set__


class Model(_Kept, msgspec.Struct, frozen=True, kw_only=True, gc=False):  # gc: it can be in no cycle
    """Base of events and their parts.

    ``_extra`` holds, as JSON text, the keys that this version does not know. It is not a field: it is not in the
    constructor, the repr or ``==``.
    """

    if TYPE_CHECKING:
        _extra: ClassVar[str]
    _names: ClassVar[tuple[str, ...]] = ()
    _validators: ClassVar[tuple[tuple[str, str, validators.Validator], ...]] = ()  # name, "Class.name", validator
    _parts: ClassVar[Mapping[str, type[Model]]] = {}  # the fields that hold another model
    _annotations: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls, **_: Any) -> None:
        super().__init_subclass__()  # of typing.Generic and of mixins
        own = {name: annotation_text(kind) for name, kind in annotations_of(cls).items()}
        cls._annotations = cls._annotations | {name: kind for name, kind in own.items() if "ClassVar" not in kind}
        cls._check_annotations()
        # as types: dataclasses-json and others evaluate them, and a name may be imported for type checkers only
        untyped: Any = cls
        untyped.__annotations__ = {n: ClassVar if "ClassVar" in kind else type_of(kind) for n, kind in own.items()}
        cls._names = tuple(cls._annotations)
        cls._validators = tuple(
            (name, f"{cls.__name__}.{name}", RULES[kind].validate) for name, kind in cls._annotations.items()
        )
        parts = {name: kind.split(" ")[0] for name, kind in cls._annotations.items()}
        cls._parts = {name: MODELS[part] for name, part in parts.items() if part in MODELS}
        untyped.__dataclass_fields__ = _LazyFields()
        owner = next(base for base in cls.__mro__ if "__post_init__" in vars(base))
        hook = untyped.__post_init__
        untyped._validate = _compiled(cls._annotations)
        if owner is cls or not issubclass(owner, Model):
            untyped.__post_init__ = _validated_before(hook)
        elif hook in (Model.__post_init__, vars(owner)["_validate"]):
            untyped.__post_init__ = untyped._validate

    @classmethod
    def _check_annotations(cls) -> None:
        """Raise TypeError for a field that a line cannot hold."""

    def _validate(self) -> None:
        """Check each value and convert it where its rule allows that. Raises TypeError or ValueError."""

    def __post_init__(self) -> None:
        """Validate; msgspec calls this at the end of each construction."""

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild, (type(self), {name: getattr(self, name) for name in self._names}, self.extra)

    def __copy__(self) -> Self:
        return type(self)(**{name: getattr(self, name) for name in self._names}).with_extra(self.extra)

    def __replace__(self, /, **changes: Any) -> Self:
        return dataclasses.replace(self, **changes)

    @property
    def extra(self) -> str | None:
        """JSON text of the unknown keys that this object was read with, or None."""
        return getattr(self, "_extra", None)

    def with_extra(self, extra: str | None) -> Self:
        """Attach the unknown keys and return self; only for an object that was made just now."""
        if extra:
            _set_extra(self, extra)
        return self


def names_of(cls: type[Model]) -> tuple[str, ...]:
    """Return the names of the fields of ``cls``, in order."""
    return cls._names


def rebuild(cls: type[Model], values: dict[str, Any], extra: str | None) -> Model:
    """Return the object that a pickle describes."""
    return cls(**values).with_extra(extra)


def _compiled(annotations: Mapping[str, str]) -> Callable[[Any], None]:
    """Return the ``_validate`` of a class: one expression over all values, and the validators where it is false.

    A second one notes that a text is long.
    """
    # locals begin with an underscore, as no field does: a field may be named "type" or "self"
    reads = [f"    _{name} = self.{name}" for name in annotations]
    fits = " and ".join(f"({RULES[kind].fits.format('_' + name)})" for name, kind in annotations.items())
    source = ["def validate(self):", *reads, f"    if not ({fits or True}):", "        run_validators(self)"]
    texts = [name for name, kind in annotations.items() if kind in _TEXTS]
    if texts:
        lengths = " or ".join(f"{_TEXTS[annotations[name]].format('_' + name)} > {_SHORT}" for name in texts)
        source += [f"    if {lengths}:", "        note_long_text(self)"]
    namespace: dict[str, Any] = {}
    names = _NAMES | {"run_validators": _run_validators, "note_long_text": _note_long_text}
    exec("\n".join(source), names, namespace)  # noqa: S102 - source from the table above, as the dataclasses module does
    validate: Callable[[Any], None] = namespace["validate"]
    return validate


def _validated_before(hook: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a class's own ``__post_init__``, which gets objects with valid values only."""

    @wraps(hook)
    def validate_first(self: Any) -> None:
        self._validate()
        hook(self)

    return validate_first


def _run_validators(self: Model) -> None:
    for name, where, validate in self._validators:
        value = getattr(self, name)
        valid = validate(where, value)
        if valid is not value:
            force_setattr(self, name, valid)


def _note_long_text(model: Model) -> None:
    if isinstance(model, tuple(SHORT_EVENTS)):
        SHORT_EVENTS.discard(type(model))
    elif not hasattr(model, "_family"):  # a part, which an event of any class may hold
        SHORT_EVENTS.clear()


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(msgspec.field,))
def model(cls: C) -> C:
    """Make ``cls`` a frozen, keyword-only dataclass and enter it into the tables."""
    make_dataclass_form(cls)
    MODELS[cls.__name__] = cls
    _add(cls, validators.instance(cls))
    return cls


def make_dataclass_form(cls: type[Model]) -> None:
    """Give ``cls`` the attributes of a frozen, keyword-only dataclass."""
    # not msgspec.structs.fields: it evaluates the annotations, whose names may be imported for type checkers only
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
    untyped: Any = cls
    untyped.__dataclass_fields__ = plain.__dataclass_fields__  # type: ignore[attr-defined]
    untyped.__dataclass_params__ = plain.__dataclass_params__  # type: ignore[attr-defined]
    untyped.__setattr__, untyped.__delattr__ = _refuse_to_set, _refuse_to_delete


def add_status(cls: type[Enum], **json: Callable[[Any], Any]) -> None:
    """Enter an enumeration into the tables, with its encoder and decoder for dataclasses-json."""
    _add(cls, validators.member(cls))
    JSON_RULES[cls.__name__] = json


def _add(cls: type, validate: validators.Validator) -> None:
    name = cls.__name__
    _NAMES[name] = cls
    RULES[name] = Rule(f"type({{0}}) is {name}", validate)
    RULES[f"{name} | None"] = optional(RULES[name])


def _field(name: str, annotation: str, defaults: Mapping[str, Any]) -> Any:
    """Return the dataclasses field for a field of a Struct."""
    default = defaults.get(name, msgspec.NODEFAULT)
    arguments: dict[str, Any] = {}
    if factory := getattr(default, "factory", None):
        arguments["default_factory"] = factory
    elif default is not msgspec.NODEFAULT:
        arguments["default"] = default
    rule = JSON_RULES.get(annotation, {"decoder": _same})
    return dataclasses.field(**arguments, metadata=MappingProxyType({"dataclasses_json": rule}))


def _refuse_to_set(self: Model, name: str, _: object) -> NoReturn:
    msg = f"cannot assign to field {name!r}: a {type(self).__name__} is frozen"
    raise dataclasses.FrozenInstanceError(msg)


def _refuse_to_delete(self: Model, name: str) -> NoReturn:
    msg = f"cannot delete field {name!r}: a {type(self).__name__} is frozen"
    raise dataclasses.FrozenInstanceError(msg)


def snake(name: str) -> str:
    """Return a CamelCase name in snake_case: ``round_completed`` for ``RoundCompleted``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
