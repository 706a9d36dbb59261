"""What is kept of every transfer: one store for the engine, for repeats and for monitoring."""
