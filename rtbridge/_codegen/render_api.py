"""Renders the methods of ``Api`` and ``SyncApi`` from the commands of ``rtbridge/api/commands.py``."""

import ast
import copy
from textwrap import indent
from typing import Final

#: A parameter that callers of the methods do not see: the API has a clock of its own.
_OWN: Final = "clock"

#: A parameter that every method has beside those of its command, and what is said of it.
_TIMEOUT: Final = "timeout"
_TIMEOUT_TYPE: Final = "float | None"
_TIMEOUT_DOC: Final = f"    {_TIMEOUT}: Seconds that the call may take, retries included; None for the configured ones."

_CLASSES: Final = (
    ("AsyncMethods", "async def", "await ", "The methods of the server API, in coroutines."),
    ("SyncMethods", "def", "", "The methods of the server API, for code that blocks."),
)


def render(source: str, file: str) -> str:
    """The text of the module with both classes.

    Args:
        source: The text of the module with the class ``Command``.
        file: Its path in the project.

    """
    tree = ast.parse(source)
    imports = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    (commands,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Command"]
    functions = [node for node in commands.body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    lines = [
        '"""The methods of the server API, awaited and blocking.',
        "",
        f"Generated from {file} by `python -m rtbridge._codegen`; edit that file, not this one.",
        '"""',
        "",
        "from abc import ABC, abstractmethod",
        *imports,
        "from rtbridge.api.commands import Command",
        "",
        'T = TypeVar("T")',
        "",
    ]
    for name, define, wait, doc in _CLASSES:
        lines += ["", f"class {name}(ABC):", f'    """{doc}"""', "", "    clock: Clock = SYSTEM_CLOCK", ""]
        lines += [
            "    @abstractmethod",
            f"    {define} run(self, command: Command[T], *, {_TIMEOUT}: {_TIMEOUT_TYPE} = None) -> T:",
        ]
        lines += ['        """The result of a command.', "", "        Args:", "            command: The command."]
        lines += [f"        {_TIMEOUT_DOC}", "", "        Raises:"]
        lines += ["            ApiError: The server refuses it, or does not answer.", "", '        """', ""]
        for function in functions:
            lines += [*_method(function, define, wait), ""]
    return "\n".join(lines) + "\n"


def _method(function: ast.FunctionDef, define: str, wait: str) -> list[str]:
    given = copy.deepcopy(function.args)
    named = [argument.arg for argument in given.kwonlyargs]
    passed = [argument.arg for argument in given.args]
    passed += [f"{name}={'self.clock' if name == _OWN else name}" for name in named]
    keep = [index for index, name in enumerate(named) if name != _OWN]
    given.kwonlyargs, given.kw_defaults = (
        [given.kwonlyargs[index] for index in keep],
        [given.kw_defaults[index] for index in keep],
    )
    given.args.insert(0, ast.arg("self"))
    given.kwonlyargs.append(ast.arg(_TIMEOUT, ast.parse(_TIMEOUT_TYPE, mode="eval").body))
    given.kw_defaults.append(ast.Constant(None))
    assert isinstance(function.returns, ast.Constant)
    returns = str(function.returns.value).removeprefix("Command[").removesuffix("]")
    doc = ast.get_docstring(function, clean=True) or ""
    if "\nArgs:\n" in doc:  # the last section of such a docstring
        doc = f"{doc}\n{_TIMEOUT_DOC}"
    text = f'"""{doc}"""' if "\n" not in doc else f'"""{doc}\n\n"""'
    made = f"Command.{function.name}({', '.join(passed)})"
    return [
        f"    {define} {function.name}({ast.unparse(given)}) -> {returns}:",
        indent(text, "        ", lambda line: bool(line.strip())),
        f"        {'' if returns == 'None' else 'return '}{wait}self.run({made}, {_TIMEOUT}={_TIMEOUT})",
    ]
