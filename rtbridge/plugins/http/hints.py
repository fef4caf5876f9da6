"""103 Early Hints: what a page will need, told before its answer is ready."""

from typing import Final

from starlette.requests import Request

#: The ASGI extension "Early Hints"; servers that can send them have it in the scope.
_EXTENSION: Final = "http.response.early_hint"


async def early_hints(request: Request, *links: str) -> bool:
    """Tell the browser what to fetch already, where the server can; whether it could.

    uvicorn, on which rtbridge serves, cannot: there it is False, and nothing is sent. A ``Link`` header of the answer
    itself is what proxies and CDNs make hints of.

    Args:
        request: The request, as the handler got it; its answer must not have begun.
        links: Values of ``Link``, as in RFC 8297: ``</style.css>; rel=preload; as=style``.

    Raises:
        ValueError: A value is not ASCII, or has more than one line.

    """
    values = [_value(link) for link in links]
    if _EXTENSION not in request.scope.get("extensions", {}):
        return False
    await request._send({"type": _EXTENSION, "links": values})
    return True


def _value(link: str) -> bytes:
    if not link.isascii() or not link.isprintable():
        raise ValueError(f"a Link has printable ASCII characters: {link!r}")
    return link.encode()
