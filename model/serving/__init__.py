"""What the engine of many sessions is made of: caches in lanes, batched steps, hearing, replies as streams."""
