"""Key-value stores: what drivers do, and what users get.

.. code-block:: text

    base        the protocol of drivers: bytes under text keys
    front       Kv: values, for coroutines           sync       SyncKv: the same for threads
    codec       values ↔ bytes                       times      TTLs
    serializers bytes by name of the serializer      packing    the default one
    crypt       key files, encryption                registry   stores by name
    rotate      the newest key for every value       elsewhere  a blocking face for stores that need an event loop
"""

from rtbridge.stores.base import FOREVER, Opening, Store
from rtbridge.stores.front import Kv
from rtbridge.stores.registry import KvStores, kv
from rtbridge.stores.sync import SyncKv

__all__ = ["FOREVER", "Kv", "KvStores", "Opening", "Store", "SyncKv", "kv"]
