"""What a hook may ask for by argument name besides its event: name → (annotation, sentence)."""

from typing import Final

INJECTED: Final[dict[str, tuple[str, str]]] = {
    "api": ("Api", "The server API: publish, subscribe, disconnect, presence, history and the rest, as coroutines."),
    "config": ("Config", "The configuration that rtbridge runs with."),
}
