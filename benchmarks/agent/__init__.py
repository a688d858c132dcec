"""What an agent costs, and what becomes of its runs when it dies: beside a stock prefect-docker worker."""
