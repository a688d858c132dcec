"""How long a run takes from submit to its end, beside a stock prefect-docker worker and plain `docker run`."""
