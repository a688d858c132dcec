"""Launch Jobs: capture a job from a run, queue it, run it on any machine."""
