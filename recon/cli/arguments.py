"""Arguments of the command line to settings, and the help: both from the options of a command."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any, Literal, NoReturn, get_args, get_origin

from recon.cli.command import Command
from recon.errors import InputError
from recon.options import Option, Options, meant, options_of
from recon.run.settings_file import read_settings_file

HELP_FLAGS = ("-h", "--help")
_NUMBER = re.compile(r"-\.?\d")
_SHOWN_COMMANDS = 3
_METAVARS = {int: "NUMBER", float: "NUMBER", Path: "PATH", str: "TEXT"}


def parse(
    command: Command, arguments: Sequence[str], commands: Mapping[str, Command] = MappingProxyType({})
) -> Options:
    """The settings that `arguments`, those after the command's name, ask for; flags win over a file of settings.

    Of a flag that this command does not have, it is said which of the other `commands` do.

    Raises InputError naming an unknown flag, one without its value, a value that its option does not take, or what is
    missing.
    """
    options = options_of(command.settings)
    given = given_options(command, arguments, commands)
    config = given.get("config")
    if config is not None:
        given = {**read_settings_file(config, command.settings), **given}
    left_out = [one for name, one in options.items() if name not in given]
    if any(one.required for one in left_out):
        missing = [one for one in left_out if one.required or one.positional]  # a list of inputs is empty by default
        flags = [one.flag for one in sorted(missing, key=lambda one: not one.positional)]
        raise InputError(f"recon {command.name} needs {' and '.join(flags)} (recon {command.name} --help)")
    return command.settings(**given)


def help_text(command: Command) -> str:
    """What `recon COMMAND --help` shows."""
    return _parser(command, for_help=True).format_help()


def overview(commands: Mapping[str, Command], description: str) -> str:
    """What `recon --help` shows."""
    width = max(map(len, commands))
    lines = [f"  {name:{width}}  {command.summary}" for name, command in commands.items()]
    return "\n".join(
        ["usage: recon COMMAND ...", "", description, "", *lines, "", "recon COMMAND --help says what each one takes."]
    )


def given_options(
    command: Command, arguments: Sequence[str], commands: Mapping[str, Command] = MappingProxyType({})
) -> dict[str, Any]:
    """The options that stand on the command line, with their values. Errors as of `parse`, but for what is missing."""
    options = options_of(command.settings)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    found, others = _parser(command, for_help=False).parse_known_args(
        _values_apart([_hyphens(a) for a in arguments[:end]], options)
    )
    unknown = [text for text in others if text.startswith("-") and text != "-" and not _NUMBER.match(text)]
    if unknown:
        flag = unknown[0].partition("=")[0]
        flags = [one.flag for one in options.values() if not one.positional]
        flags += [_opposite(one) for one in options.values() if one.type is bool]
        raise InputError(f"recon {command.name} has no option {flag}; {_hint(flag, flags, command, commands)}")
    given = {
        name: options[name].read(value, options[name].flag, text=True)
        for name, value in vars(found).items()
        if value is not None
    }
    return {**given, **_positionals(command, [*others, *arguments[end + 1 :]])}


def _positionals(command: Command, texts: list[str]) -> dict[str, Any]:
    """What stands there without a flag."""
    if not texts:
        return {}
    for name, one in options_of(command.settings).items():
        if one.positional and get_origin(one.type) is tuple:
            return {name: one.read(texts, one.flag, text=True)}
        if one.positional and len(texts) == 1:
            return {name: one.read(texts[0], one.flag, text=True)}
        if one.positional:
            raise InputError(f"recon {command.name} takes one {one.flag}, not {' '.join(texts)}")
    raise InputError(f"recon {command.name} takes no {texts[0]!r} (recon {command.name} --help)")


def _values_apart(arguments: list[str], options: Mapping[str, Option]) -> list[str]:
    """With the values of an option that takes several as an argument each, where they stand in one, with commas."""
    counts = {one.flag: _how(one).get("nargs") for one in options.values()}
    found: list[str] = []
    for argument in arguments:
        flag, equals, joined = argument.partition("=")
        before = [flag] if equals and isinstance(counts.get(flag), int) else []
        of = flag if before else found[-1] if found else ""
        values = re.split(r"[,\s]+", (joined if before else argument).strip(" ,"))
        apart = "," in argument and len(values) == counts.get(of)
        found += [*before, *values] if apart else [argument]
    return found


def _hint(flag: str, flags: list[str], command: Command, commands: Mapping[str, Command]) -> str:
    having = [
        name for name, one in commands.items() if flag in {each.flag for each in options_of(one.settings).values()}
    ]
    if having:
        names = ", ".join(f"recon {name}" for name in having[:_SHOWN_COMMANDS])
        return f"it is one of {names} (recon {command.name} --help lists those of recon {command.name})"
    hint = meant(flag, flags, likeness=0.75)
    return hint.replace("'", "") if hint.startswith("did") else f"recon {command.name} --help lists them"


def _hyphens(argument: str) -> str:
    """A flag written with underscores as it is spelled."""
    flag, equals, value = argument.partition("=")
    return f"{flag.replace('_', '-')}{equals}{value}" if flag.startswith("--") else argument


class _Parser(argparse.ArgumentParser):
    """Raises InputError where argparse would print a usage and exit."""

    def error(self, message: str) -> NoReturn:
        flag, colon, said = message.removeprefix("argument ").partition(": ")
        if said.startswith("ignored explicit argument"):  # of a switch
            flag, said = flag.partition("/")[0], "takes no value"
        raise InputError(f"{flag}{colon}{said}")


def _parser(command: Command, *, for_help: bool) -> argparse.ArgumentParser:
    """Flags of one command; their values stay text."""
    parser = _Parser(
        prog=f"recon {command.name}",
        description=command.summary,
        usage=_usage(command),
        allow_abbrev=False,
        argument_default=None,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=110),
    )
    groups: dict[str | None, Any] = {}
    options = options_of(command.settings).values()
    for one in sorted(options, key=lambda one: one.declared_in is not command.settings):
        title = None if one.declared_in is command.settings else _title(one)
        group = groups.get(title) or (parser if title is None else parser.add_argument_group(title))
        groups[title] = group
        text = _help(one) if for_help else None
        if one.positional:
            if for_help:
                group.add_argument(one.name, metavar=one.flag, nargs="*", help=text)
        elif one.type is bool:
            group.add_argument(one.flag, dest=one.name, action=argparse.BooleanOptionalAction, help=text)
        else:
            names = [one.flag] if one.short is None else [one.short, one.flag]
            group.add_argument(*names, dest=one.name, help=text, **_how(one))
    return parser


def _how(one: Option) -> dict[str, Any]:
    """How argparse is to read the values of an option: several at once, one by one, or one."""
    metavar = one.metavar or _metavar(one.type)
    for kind in (one.type, *get_args(one.type)):
        if get_origin(kind) is tuple and Ellipsis in get_args(kind):
            return {"action": "append", "metavar": metavar}
        if get_origin(kind) is tuple:
            count = len(get_args(kind))
            names = metavar.split()
            return {"nargs": count, "metavar": tuple(names) if len(names) == count else metavar}
    return {"metavar": metavar}


def _metavar(kind: Any) -> str:
    """What a value of the type is called."""
    if get_origin(kind) is Literal:
        return f"{{{','.join(map(str, get_args(kind)))}}}"
    if kind in _METAVARS:
        return _METAVARS[kind]
    return next((_metavar(one) for one in get_args(kind) if one is not NoneType), "VALUE")


def _usage(command: Command) -> str:
    parts = [f"recon {command.name}"]
    for one in options_of(command.settings).values():
        if one.positional:
            parts.append(f"{one.flag} ..." if get_origin(one.type) is tuple else one.flag)
    for one in options_of(command.settings).values():
        if one.required and not one.positional:
            parts.append(f"{one.flag} {one.metavar or _metavar(one.type)}")
    return " ".join([*parts, "[options]"])


def _title(one: Option) -> str:
    """What the options declared in one class are called in the help: the first line of its docstring."""
    return ((one.declared_in.__doc__ if one.declared_in else None) or "options").splitlines()[0].rstrip(".").lower()


def _help(one: Option) -> str:
    """With the default, unless the text says in brackets what holds instead; % is argparse's own."""
    shown = "" if one.required or one.default in (None, (), "", False) else f" [{_value(one.default)}]"
    names = f": {', '.join(_NAMES[one.metavar]())}." if one.metavar in _NAMES else ""
    return (one.help + names + ("" if "[" in one.help else shown)).replace("%", "%%")


def _formats() -> Iterable[str]:
    from recon.export import EXPORTERS

    return EXPORTERS


def _kinds() -> Iterable[str]:
    from recon.sources.kinds import KINDS

    return KINDS


_NAMES: Mapping[str | None, Callable[[], Iterable[str]]] = {"FORMATS": _formats, "KIND": _kinds}
"""By what the value of an option is called: the names that it may be put together from."""


def _value(default: Any) -> str:
    return "yes" if default is True else str(default)


def _opposite(one: Option) -> str:
    return f"--no-{one.flag.removeprefix('--')}"
