"""Names of the control RPC (``proto/rtbridge/control.proto``), for what serves it and what calls it."""

from typing import Final

PACKAGE: Final = "rtbridge.control.v1"
SERVICE: Final = f"{PACKAGE}.Control"

#: The metadata key of the token.
TOKEN: Final = "x-rtbridge-token"  # noqa: S105  # its name, not its value
