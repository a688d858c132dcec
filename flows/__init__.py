"""The deployable Prefect flows: each is a few lines of tasks."""
