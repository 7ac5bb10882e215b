"""Options: dataclass fields that carry their help, their bounds and what they are used by.

A field made by `option` is all there is to an option. From it come the check of a Python argument, the key of a YAML
file, the flag and its help, the entry in `run.json`, and the text of errors. Values from any of these go through one
`coerce`; text of a command line is read as the field's type, everything else has to be of it already.

A class of options is a frozen dataclass that derives from `Options`. Classes share options by deriving from each other,
or one at a time through `like`.
"""

from __future__ import annotations

import math
import operator
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from difflib import get_close_matches
from functools import cache
from inspect import get_annotations
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from recon.errors import InputError

_KEY = "option"
"""Of the field's metadata."""
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_EXPECTED = {bool: "true or false", str: "text", Path: "a path", int: "a whole number", float: "a number"}

REQUIRED = object()
"""Stands for the default of an option that has none."""

AnyOptions = TypeVar("AnyOptions")


@dataclass(frozen=True)
class Option:
    """One option of a class. `name`, `type`, `default` and `declared_in` are those of its field."""

    help: str = ""
    """What it does; in brackets what holds where it is not given, if the default does not say that itself."""
    least: float | None = None
    """Smallest number allowed, for each number of a tuple."""
    or_zero: bool = False
    """Whether 0 is allowed, too, below the smallest number."""
    most: float | None = None
    """Largest number allowed."""
    above: float | None = None
    """Numbers have to be larger than this."""
    below: float | None = None
    """Numbers have to be smaller than this."""
    used_by: tuple[str, ...] = ()
    """Parts of a run, any of which has a use for it. Empty: every run has."""
    may_be_path: bool = False
    """Text that may also be a path, so that `~` in front stands for the home folder."""
    positional: bool = False
    """Given without a flag."""
    metavar: str | None = None
    """What its value is called in the help [by the type]."""
    short: str | None = None
    """A flag of one letter beside the long one."""
    in_files: bool = True
    """Whether a file of settings may hold it."""
    key_in_files: str | None = None
    """Its key there, where that is another than its name."""
    local: bool = False
    """Whether it is for whoever sits at the machine alone: a service takes it from nobody else."""
    like: str | None = None
    """Name of the option of another class that this one takes its value from."""
    name: str = ""
    type: Any = None
    default: Any = REQUIRED
    declared_in: type | None = None

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is REQUIRED

    @property
    def flag(self) -> str:
        """As on the command line; the metavar of one without a flag."""
        return (self.metavar or self.name.upper()) if self.positional else f"--{self.name.replace('_', '-')}"

    def read(self, value: Any, label: str | None = None, *, text: bool = False) -> Any:
        """`value` as the option's type, within its bounds.

        Args:
            value: of Python or a YAML file; with `text`, of a command line.
            label: what errors call the option; its name by default.
            text: read text as the option's type.

        Raises:
            InputError: naming the option, what it takes and what it got.
        """
        label = label or self.name
        try:
            found = coerce(value, self.type, text=text)
            if self.may_be_path and isinstance(found, str) and found.startswith("~"):
                found = str(coerce(found, Path))
        except _Refused as refused:
            raise InputError(f"{label} {refused}") from None
        for number in _numbers(found):
            if not self._allows(number):
                raise InputError(f"{label} must be {self._bounds()}, got {number}")
        return found

    def _allows(self, number: float) -> bool:
        return (self.or_zero and number == 0) or (
            (self.least is None or number >= self.least)
            and (self.most is None or number <= self.most)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )

    def _bounds(self) -> str:
        if self.least is not None and self.most is not None:
            return f"{self.least} to {self.most}"
        said = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        bounds = " and ".join(f"{words} {bound}" for words, bound in said.items() if bound is not None)
        return f"{bounds}, or 0" if self.or_zero else bounds


def option(
    default: Any = MISSING,
    *,
    help: str,
    least: float | None = None,
    or_zero: bool = False,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    used_by: tuple[str, ...] = (),
    may_be_path: bool = False,
    positional: bool = False,
    metavar: str | None = None,
    short: str | None = None,
    in_files: bool = True,
    local: bool = False,
) -> Any:
    """A field of an `Options` class; without `default` it has to be given. The arguments are those of `Option`."""
    notes = Option(
        help=help,
        least=least,
        or_zero=or_zero,
        most=most,
        above=above,
        below=below,
        used_by=used_by,
        may_be_path=may_be_path,
        positional=positional,
        metavar=metavar,
        short=short,
        in_files=in_files,
        local=local,
    )
    return field(default=default, metadata={_KEY: notes})


def like(owner: type, name: str, **changes: Any) -> Any:
    """A field that repeats option `name` of the class `owner`, with `changes` such as another default or help.

    With `required=True` it has no default. The option remembers in `like` where it comes from, so that what was chosen
    for the one can be handed to the other.
    """
    original = options_of(owner)[name]
    default = MISSING if changes.pop("required", False) else changes.pop("default", original.default)
    return field(default=default, metadata={_KEY: replace(original, like=name, **changes)})


@dataclass(frozen=True)
class Options:
    """Base of all classes of options: brings every field to its type and checks its bounds.

    Raises InputError naming the field.
    """

    def __post_init__(self) -> None:
        for name, one in options_of(type(self)).items():
            object.__setattr__(self, name, one.read(getattr(self, name)))


def options_of(cls: type) -> Mapping[str, Option]:
    """The options of a dataclass, by name, in the order of its fields; of fields made otherwise just type, default."""
    return _options_of(cls)


@cache
def _options_of(cls: Any) -> Mapping[str, Option]:
    hints = get_type_hints(cls)
    found = {}
    for one in fields(cls):
        declared_in = next(base for base in cls.__mro__ if one.name in get_annotations(base))
        notes: Option = one.metadata.get(_KEY, Option())
        default = REQUIRED if one.default is MISSING else one.default
        found[one.name] = replace(notes, name=one.name, type=hints[one.name], default=default, declared_in=declared_in)
    return types.MappingProxyType(found)


def build(cls: type[AnyOptions], values: Mapping[str, Any], *, of: str, prefix: str = "") -> AnyOptions:
    """Options of class `cls` with `values` in place of the defaults.

    Args:
        cls: dataclass of options.
        values: by name of the option.
        of: what the options belong to, for the error text: `export format 'glb'`.
        prefix: before the names of options in errors: `glb.`.

    Raises:
        InputError: an unknown option, or a value that its option does not take.
    """
    known = options_of(cls)
    for name in values:
        if name not in known:
            raise InputError(f"unknown option {name!r} for {of}; {meant(name, known)}")
    return cls(**{name: known[name].read(value, f"{prefix}{name}") for name, value in values.items()})


def part_of(options: Any, cls: type[AnyOptions]) -> AnyOptions:
    """The options of class `cls` with the values of the same names in `options`."""
    return cls(**{name: getattr(options, name) for name in options_of(cls)})


def settings_entry(options: Any) -> dict[str, Any]:
    """What `run.json` says of a class of options: every value by its name, defaults included."""
    return {name: getattr(options, name) for name in options_of(type(options))}


def asked_in_vain(options: Any, parts: Collection[str]) -> dict[str, str]:
    """Options away from their default that nothing in `parts` has a use for: by name, what to say of it."""
    return {
        one.name: f"{one.name} is for {' and '.join(one.used_by)}, which this run does without"
        for one in asked_for(options)
        if one.used_by and not set(one.used_by) & set(parts)
    }


def asked_for(options: Any) -> list[Option]:
    """The options that are not at their default. One that is asks for nothing."""
    return [
        one
        for name, one in options_of(type(options)).items()
        if one.required or not _same(getattr(options, name), one.read(one.default))
    ]


def _same(value: Any, default: Any) -> bool:
    """Whether they are equal; arrays are equal to nothing else."""
    return value is default or (type(value) is type(default) and bool(value == default))


def meant(name: object, known: Iterable[str], likeness: float = 0.6) -> str:
    """What to say of an unknown name: the known one that it resembles, by more than 0 to 1, else all of them."""
    known = list(known)
    close = get_close_matches(str(name), known, n=1, cutoff=likeness)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known) or 'none'}"


class _Refused(ValueError):
    """A value is not of a type; the text goes behind the option's name."""

    def __init__(self, kind: Any, value: Any) -> None:
        written = f", written [{value}]" if describe(kind) == "a list" and isinstance(value, (str, int, float)) else ""
        super().__init__(f"must be {describe(kind)}{written}, got {value!r}")


def describe(kind: Any) -> str:
    """A type in words, for errors."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is tuple:
        return "a list" if Ellipsis in arguments else f"{len(arguments)} values"
    if origin in (Union, types.UnionType):
        return " or ".join(describe(one) for one in arguments if one is not types.NoneType)
    return _EXPECTED.get(kind, getattr(kind, "__name__", str(kind)))


def coerce(value: Any, kind: Any, *, text: bool = False) -> Any:
    """`value` as the type `kind` asks for: bool, int, float, str, Path, a literal, a tuple or a union of these; or Any.

    Numbers and text are not mixed up, true and false are no numbers, numbers of numpy become those of Python, `~` in
    front of a path becomes the home folder. With `text`, text is read as the type, as on a command line.
    Raises ValueError with what to put behind the option's name.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return _read_yaml(value) if text and isinstance(value, str) else value
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()
    if origin in (Union, types.UnionType):
        return _coerce_to_one_of(value, kind, text)
    if origin is Literal:
        for allowed in arguments:
            if (type(value) is type(allowed) and value == allowed) or (text and value == str(allowed)):
                return allowed
        raise _Refused(kind, value)
    if origin is tuple:
        return _coerce_to_tuple(value, kind, text)
    if text and isinstance(value, str):
        value = _read_text(value, kind)
    return _PLAIN[kind](value)


def _coerce_to_one_of(value: Any, union: Any, text: bool) -> Any:
    members = [one for one in get_args(union) if one is not types.NoneType]
    may_be_none = len(members) < len(get_args(union))
    if value is None and may_be_none:
        return None
    refusals = []
    for member in members:
        try:
            return coerce(value, member, text=text)
        except _Refused as refused:
            refusals.append(refused)
    if text and may_be_none and str(value).lower() in ("none", "null"):
        return None
    raise refusals[0] if len(refusals) == 1 else _Refused(union, value)


def _coerce_to_tuple(value: Any, kind: Any, text: bool) -> tuple[Any, ...]:
    arguments = get_args(kind)
    if text and isinstance(value, str):
        value = _read_yaml(value)
        text = False
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise _Refused(kind, value)
    items = list(value)
    if Ellipsis not in arguments and len(items) != len(arguments):
        raise _Refused(kind, tuple(items))
    item_types = arguments[:1] * len(items) if Ellipsis in arguments else arguments
    return tuple(coerce(item, one, text=text) for item, one in zip(items, item_types, strict=True))


def _read_text(text: str, kind: Any) -> Any:
    """What `text` says, where it can be read as `kind`; else the text."""
    if kind is bool and text.lower() in (*_TRUE, *_FALSE):
        return text.lower() in _TRUE
    if kind in (int, float):
        try:
            return int(text)
        except ValueError:
            pass
        try:
            number = float(text)
        except ValueError:
            return text
        return int(number) if kind is int and number.is_integer() else number if kind is float else text
    return text


def _read_yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise _Refused(list, text) from None


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _Refused(bool, value)


def _int(value: Any) -> int:
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise _Refused(int, value)


def _float(value: Any) -> float:
    try:
        if not isinstance(value, (bool, str, bytes)) and math.isfinite(number := float(value)):
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise _Refused(float, value)


def _str(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _Refused(str, value)


def _path(value: Any) -> Path:
    if not isinstance(value, (str, Path)) or not str(value) or "\0" in str(value):
        raise _Refused(Path, value)
    try:
        return Path(value).expanduser()
    except RuntimeError:  # ~ of a user that is not known
        return Path(value)


_PLAIN: Mapping[type, Callable[[Any], Any]] = {bool: _bool, int: _int, float: _float, str: _str, Path: _path}


def _numbers(value: Any) -> list[float]:
    """The numbers in a value: itself, or those of a tuple."""
    if isinstance(value, tuple):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else []
