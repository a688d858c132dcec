"""The door to a Kubernetes API server."""
