"""``hookimpl``: marks a function as a hook."""

from collections.abc import Callable
from typing import Any, Final, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])

#: pluggy looks for `<project>_impl` on the members of a plugin.
ATTRIBUTE: Final = "rtbridge_impl"


@overload
def hookimpl(function: F) -> F: ...


@overload
def hookimpl(
    *,
    tryfirst: bool = False,
    trylast: bool = False,
    specname: str | None = None,
    optionalhook: bool = False,
    wrapper: bool = False,
    hookwrapper: bool = False,
    blocking: bool | None = None,
) -> Callable[[F], F]: ...


def hookimpl(
    function: F | None = None,
    *,
    tryfirst: bool = False,
    trylast: bool = False,
    specname: str | None = None,
    optionalhook: bool = False,
    wrapper: bool = False,
    hookwrapper: bool = False,
    blocking: bool | None = None,
) -> F | Callable[[F], F]:
    """Mark a function as the implementation of the hook that has its name.

    Args:
        function: The function, where the decorator is used without parentheses.
        tryfirst: Run before other plugins' hooks.
        trylast: Run after other plugins' hooks.
        specname: The hook's name, where the function has another one.
        optionalhook: Do not complain when no such hook exists.
        wrapper: The function is a generator around the chain: what it yields is nothing, what the ``yield`` gives back
            is the answer so far, what it returns is the answer.
        hookwrapper: pluggy's old style of wrappers; refused at start.
        blocking: Whether a ``def`` hook runs on a thread. By default it does; an ``async def`` never does.

    """

    def mark(target: F) -> F:
        options = {
            "tryfirst": tryfirst,
            "trylast": trylast,
            "specname": specname,
            "optionalhook": optionalhook,
            "wrapper": wrapper,
            "hookwrapper": hookwrapper,
            "blocking": blocking,
        }
        setattr(target, ATTRIBUTE, options)
        return target

    return mark if function is None else mark(function)
