"""Centrifugo's configuration as it has to be for the hooks that exist. Pure functions: values in, values out.

.. code-block:: text

    places   where an event's proxy and its switch are found in the configuration
    reach    which namespaces a hook or a pattern listens to
    build    hooks → the proxy part of a configuration
    compare  hooks and an existing configuration → what differs
    embedded the embedded server's section → the whole of a configuration, and what differs from the hooks
    source   a configuration file of Centrifugo → a mapping
"""

from typing import Final

#: The version of Centrifugo whose proxy protocol and configuration keys rtbridge follows.
CENTRIFUGO: Final = "6.9.1"
