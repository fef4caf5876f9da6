"""``${VAR}`` and ``${VAR:-default}`` in text, each by itself; ``$${`` is a literal ``${`` and a lone ``$`` stays."""

import re
from collections.abc import Mapping
from typing import Final

from rtbridge.config.faults import Faults
from rtbridge.config.tree import Items, Leaf, Table, Tree, join

_OPENING: Final = re.compile(r"\$?\$\{")
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class Interpolation:
    """Puts variables into a tree.

    Args:
        environ: The variables.
        faults: Takes what is wrong.
        offline: A variable that is not set is noted in ``missing`` instead of being a fault.

    """

    def __init__(self, environ: Mapping[str, str], faults: Faults, *, offline: bool = False) -> None:
        self._environ = environ
        self._faults = faults
        self._offline = offline
        #: Variables that have no value and no default, in the order of their first use.
        self.missing: dict[str, None] = {}

    def apply(self, tree: Tree, path: str = "") -> Tree:
        """The tree with every text made from its variables."""
        if isinstance(tree, Leaf):
            return self._leaf(tree, path)
        if isinstance(tree, Items):
            items = [self.apply(item, join(path, str(index))) for index, item in enumerate(tree.items)]
            return Items(where=tree.where, items=items)
        table = {key: self.apply(value, join(path, key)) for key, value in tree.items.items()}
        return Table(where=tree.where, items=table)

    def _leaf(self, leaf: Leaf, path: str) -> Leaf:
        text = leaf.value
        if not isinstance(text, str) or "${" not in text:
            return leaf
        parts: list[str] = []
        names: list[str] = []
        known = True
        literal = False
        position = 0
        while (opening := _OPENING.search(text, position)) is not None:
            literal = literal or opening.start() > position
            parts.append(text[position : opening.start()])
            if opening.group() == "$${":
                literal = True
                parts.append("${")
                position = opening.end()
                continue
            match = _VARIABLE.match(text, opening.start())
            if match is None or "${" in (match[2] or ""):
                self._faults.add(
                    leaf.where,
                    path,
                    "found ${ that starts no variable, allowed: ${NAME} or ${NAME:-default} with plain text as the"
                    " default; $${ is a literal ${",
                )
                return Leaf(where=leaf.where, value=text, text=text, unknown=True)
            name, default = match.groups()
            names.append(name)
            value = self._environ.get(name)
            if default is not None:
                value = value or default
            if value is None:
                known = False
                self._missing(leaf, path, name)
            else:
                parts.append(value)
            position = match.end()
        literal = literal or position < len(text)
        parts.append(text[position:])
        made = "".join(parts) if known else text
        return Leaf(
            where=leaf.where,
            value=made,
            text=made,
            variables=tuple(dict.fromkeys(names)),
            whole=not literal,
            unknown=not known,
        )

    def _missing(self, leaf: Leaf, path: str, name: str) -> None:
        self.missing[name] = None
        if not self._offline:
            self._faults.add(
                leaf.where,
                path,
                f"variable {name} is not set, allowed: set it, or give a default as in ${{{name}:-default}}",
            )
