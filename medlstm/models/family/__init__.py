"""One file a model: each has `build(spec)`, which gives a member with fresh weights."""
