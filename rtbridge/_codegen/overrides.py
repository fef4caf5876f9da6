"""The little that a proto cannot say about its messages, by the name of the Python class."""

from typing import Final

#: Fields without a default: an empty user lets a client in anonymously, so it has to be said.
REQUIRED: Final = {("ConnectResult", "user")}

#: Expiries that can be switched off for good.
NEVER: Final = {("SubRefreshResult", "expire_at")}

#: Any int64 of this name in an answer is a time, written as int, datetime or timedelta.
EXPIRY_FIELD: Final = "expire_at"

#: Fields of plain messages that stand in JSON even with their zero value, because Centrifugo writes them so.
EXPLICIT: Final = {
    ("ClientInfo", "user"),
    ("ClientInfo", "client"),
    ("HistoryResult", "publications"),
    ("HistoryResult", "epoch"),
    ("HistoryResult", "offset"),
    ("PresenceResult", "presence"),
    ("PresenceStatsResult", "num_clients"),
    ("PresenceStatsResult", "num_users"),
    ("ChannelsResult", "channels"),
    ("ChannelInfo", "num_clients"),
    ("NodeResult", "num_clients"),
    ("NodeResult", "num_users"),
    ("NodeResult", "num_channels"),
    ("NodeResult", "num_subs"),
}
