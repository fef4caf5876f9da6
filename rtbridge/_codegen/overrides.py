"""The little that the proto cannot say about an answer, by the name of its Python class."""

from typing import Final

#: Fields without a default: an empty user lets a client in anonymously, so it has to be said.
REQUIRED: Final = {("ConnectResult", "user")}

#: Expiries that can be switched off for good.
NEVER: Final = {("SubRefreshResult", "expire_at")}

#: Any int64 of this name in an answer is a time, written as int, datetime or timedelta.
EXPIRY_FIELD: Final = "expire_at"
