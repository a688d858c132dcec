"""Kubernetes as a launch queue: what is sent there and what it says, as data; the calls are `target.py`'s.

kinds: what is known of each kind of workload object. configuration: what a queue decides. manifest: the objects of one
attempt. policy: what a cluster grants them. conditions: how an attempt stands.

`targets.render.render_kubernetes(attempt, configuration)` gives the `RunSpec`; `manifest.workload(spec, kinds, parts)`
its objects; `policy.check_workload` judges them; then the workload is made (create-or-adopt by name), and each of
`workload.side` by `manifest.owned(side, made)`; `conditions.read_status` tells how it stands.
"""
