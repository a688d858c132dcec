"""The embedded default: a Prefect server on PostgreSQL and an agent on this machine, the only place that starts them.

`lifecycle` has `up` and `down`, `agent` starts the agent, `connection` tells clients where the server is (light, no
Prefect import). Nothing is imported here, so that reading a connection stays cheap.
"""
