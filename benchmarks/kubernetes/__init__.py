"""What a run on a Kubernetes cluster takes: ours, the stock prefect-kubernetes worker's, and plain `kubectl`."""
