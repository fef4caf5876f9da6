"""What a hook may ask for by argument name besides its event: name → (annotation, sentence)."""

from typing import Final

INJECTED: Final[dict[str, tuple[str, str]]] = {
    "api": (
        "Api",
        "The server API: publish, subscribe, disconnect, presence, history and the rest, as coroutines; "
        "`api.sync` has the same for `def` hooks.",
    ),
    "kv": ("KvStores", 'The key-value stores: kv("sessions") is the one of that name.'),
    "config": ("Config", "The configuration that rtbridge runs with."),
}
