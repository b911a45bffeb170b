"""Parts that all listeners share: address, guard, connections, refusals, the way to stop."""
