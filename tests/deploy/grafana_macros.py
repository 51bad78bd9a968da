"""SQL as Grafana's ClickHouse plugin sends it: variables filled in, `$__` macros written out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

MACRO = re.compile(r"\$__(\w+)(\()?")
VARIABLE = re.compile(r"\$\{(\w+):singlequote\}|'?\$(?!__)\{?(\w+)")
ALL = "$__all"


class UnknownMacro(ValueError):  # noqa: N818  # named by what the reader should know
    """SQL asks for a macro or a variable that there is none of."""


@dataclass(frozen=True)
class View:
    """What somebody looks at: a time range and interval in seconds, and what is picked, by variable."""

    begin: float
    end: float
    interval: int
    picked: Mapping[str, Sequence[str] | str]


def expanded(sql: str, view: View) -> str:
    """Write out everything that begins with a dollar sign; raises UnknownMacro."""
    return _macros(_variables(_conditionals(sql, view), view), view)


def _conditionals(sql: str, view: View) -> str:
    """`$__conditionalAll(test, $name)` is 1=1 where all of it or nothing is picked, as the plugin's frontend does."""
    macro = "$__conditionalAll("
    while (at := sql.rfind(macro)) >= 0:
        (test, name), end = _arguments(sql, at + len(macro) - 1)
        value = _value(name.strip().removeprefix("$"), view)
        sql = sql[:at] + ("1=1" if value in (ALL, "", []) else test) + sql[end:]
    return sql


def _variables(sql: str, view: View) -> str:
    def filled(found: re.Match[str]) -> str:
        if found[2]:
            raise UnknownMacro(f"{found[0]}: only ${{name:singlequote}} is safe from a quote in a value")
        value = _value(found[1], view)
        if value == ALL:
            raise UnknownMacro(f"{found[0]} is used where all are picked, outside $__conditionalAll")
        values = [value] if isinstance(value, str) else value
        return ",".join("'" + one.replace("'", "\\'") + "'" for one in values)

    return VARIABLE.sub(filled, sql)


def _value(name: str, view: View) -> Sequence[str] | str:
    if name not in view.picked:
        raise UnknownMacro(f"there is no variable {name}")
    return view.picked[name]


def _macros(sql: str, view: View) -> str:
    while found := MACRO.search(sql):
        arguments, end = _arguments(sql, found.end() - 1) if found[2] else ([], found.end())
        write = MACROS.get(found[1])
        if write is None:
            raise UnknownMacro(f"$__{found[1]} is no macro of the plugin's")
        sql = sql[: found.start()] + write(view, *[argument.strip() for argument in arguments]) + sql[end:]
    return sql


def _arguments(sql: str, opening: int) -> tuple[list[str], int]:
    """Split what stands in parentheses at its own commas; also says where it ends."""
    depth, begun, found = 0, opening + 1, []
    for at in range(opening, len(sql)):
        depth += {"(": 1, ")": -1}.get(sql[at], 0)
        if (sql[at] == "," and depth == 1) or depth == 0:
            found.append(sql[begun:at])
            begun = at + 1
        if depth == 0:
            return found, at + 1
    raise UnknownMacro(f"parentheses do not close: {sql[opening : opening + 80]}")


def _seconds(moment: float) -> str:
    return f"toDateTime({int(moment)})"


def _milliseconds(moment: float) -> str:
    return f"fromUnixTimestamp64Milli({int(moment * 1000)})"


def _between(column: str, begin: str, end: str) -> str:
    return f"{column} >= {begin} AND {column} <= {end}"


MACROS: Mapping[str, Callable[..., str]] = {
    "fromTime": lambda view: _seconds(view.begin),
    "toTime": lambda view: _seconds(view.end),
    "fromTime_ms": lambda view: _milliseconds(view.begin),
    "toTime_ms": lambda view: _milliseconds(view.end),
    "timeFilter": lambda view, column: _between(column, _seconds(view.begin), _seconds(view.end)),
    "timeFilter_ms": lambda view, column: _between(column, _milliseconds(view.begin), _milliseconds(view.end)),
    "timeInterval": lambda view, column: f"toStartOfInterval(toDateTime({column}), INTERVAL {view.interval} second)",
    "interval_s": lambda view: str(view.interval),
}
"""What the plugin (v4) writes for each, of those that dashboards here may use."""
