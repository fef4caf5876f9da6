"""Request bodies, bounded."""

from starlette.requests import Request


class TooLarge(Exception):
    """A body is over its limit."""


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body.

    Args:
        request: The request.
        limit: Its largest size in bytes; 0 for no limit.

    Raises:
        TooLarge: It is over the limit; what was read is dropped.
        starlette.requests.ClientDisconnect: The client went away.

    """
    announced = request.headers.get("content-length", "")
    if limit and announced.isdigit() and int(announced) > limit:
        raise TooLarge
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if limit and size > limit:
            raise TooLarge
        parts.append(part)
    return b"".join(parts)
