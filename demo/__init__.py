"""`make demo`: the main job, end to end, over real HTTP against a real service process and its sandbox."""
