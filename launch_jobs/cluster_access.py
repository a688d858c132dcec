"""Which cluster a queue uses, as Prefect blocks, files and the pod itself say."""
