"""What every listener shares: address, guard, connections, refusals, the way to stop."""
