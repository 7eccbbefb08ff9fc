"""One call to the service, from its turn to its answer: rate, attempts, outages, connections, the key."""
