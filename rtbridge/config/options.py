"""``-o key.path=value``: one value, written over whatever the file says."""

from collections.abc import Sequence
from typing import Final

from rtbridge.config.document import read_document
from rtbridge.config.faults import Faults, Where
from rtbridge.config.tree import Items, Leaf, Table, Tree

#: What error texts name in place of a file and a line.
SOURCE: Final = "option -o"


def apply_options(tree: Table, options: Sequence[str], faults: Faults) -> None:
    """Write each option into the tree; the last of several for one key stands.

    A value is YAML: a scalar, or a list or mapping in flow style, which replaces the whole of what was there.
    """
    for number, option in enumerate(options, 1):
        path, equals, text = option.partition("=")
        path = path.strip()
        keys = path.split(".")
        where = Where(SOURCE)
        if not equals:
            # What stands there instead of key=value may be a secret that was meant as a value.
            faults.add(where, "", f"number {number} has no '=', allowed: key.path=value")
        elif not all(keys):
            faults.add(where, path, f"number {number} has an empty key, allowed: key.path=value")
        elif not text.strip():
            faults.add(where, path, "found no value, allowed: key.path=value; '' is the empty string")
        else:
            value = read_document(text, SOURCE, faults, path=path, numbered=False)
            _write(tree, keys, value or Leaf(where=where, value=None, text=""), faults)


def _write(tree: Table, keys: Sequence[str], value: Tree, faults: Faults) -> None:
    where = Where(SOURCE)
    for depth, key in enumerate(keys[:-1], 1):
        below = tree.items.get(key)
        if below is None or (isinstance(below, Leaf) and below.value is None):
            below = tree.items[key] = Table(where=where, items={})
        if not isinstance(below, Table):
            kind = "a list" if isinstance(below, Items) else "a scalar"
            parent = ".".join(keys[:depth])
            faults.add(where, ".".join(keys), f"{parent} is {kind}; set it whole, as in -o '{parent}=...'")
            return
        tree = below
    tree.items[keys[-1]] = value
