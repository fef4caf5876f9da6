"""How calls reach the bridge: gRPC, HTTP, and the same process."""
