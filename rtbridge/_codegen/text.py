"""Building blocks of generated source: header, docstrings, wrapped text."""

import textwrap

WIDTH = 120


def header(what: str, proto: str = "centrifugo/proxy.proto") -> list[str]:
    """The first lines of a generated module."""
    return [
        f'"""{what}',
        "",
        f"Generated from proto/{proto} by `python -m rtbridge._codegen`; edit the proto, not this file.",
        '"""',
        "",
    ]


def docstring(doc: str, attributes: list[tuple[str, str]], indent: str) -> list[str]:
    """A docstring: the first sentence on its own line, then the rest, then the attributes."""
    first, _, rest = doc.replace("\\", "\\\\").partition(". ")
    first = first.rstrip(".") + "."
    lines = textwrap.wrap('"""' + first, WIDTH - len(indent) - 3)
    if rest:
        lines += ["", *textwrap.wrap(rest, WIDTH - len(indent))]
    if attributes:
        lines += ["", "Attributes:"]
        for name, text in attributes:
            lines += textwrap.wrap(
                f"{name}: {text}", WIDTH - len(indent), initial_indent="    ", subsequent_indent="        "
            )
        lines.append("")
    if len(lines) == 1 and len(lines[0]) + len(indent) + 3 <= WIDTH:
        lines[0] += '"""'
    else:
        lines.append('"""')
    return [f"{indent}{line}".rstrip() for line in lines]
