"""What the parts of the test cluster are told: their arguments and configuration files. Nothing here acts."""

from __future__ import annotations

import json
from pathlib import Path

from cluster.images import NO_PLUGINS, PAUSE_IMAGE
from cluster.layout import API_ADDRESS, API_PORT, HOST_ADDRESS, INSIDE, NODES, PODS, SERVICES, Node

_KEYS = INSIDE / "run" / "keys"
_PROGRAMS = INSIDE / "programs"
_CNI_PROGRAMS = ("/usr/lib/cni", "/opt/cni/bin")

Arguments = list[str]


def parts(node: Node) -> dict[str, Arguments]:
    """The command of every process of a node, in the order of their start."""
    commands = {"containerd": ["containerd", "--config", str(node.inside / "containerd.toml")]}
    if node is NODES[0]:
        commands |= _control_plane()
    commands["kubelet"] = _kubelet(node)
    commands["gpu-plugin"] = [_program("gpu-plugin"), f"--count={node.gpu.count}"]
    commands["kube-proxy"] = [_program("kube-proxy"), f"--config={node.inside}/kube-proxy.json"]
    commands["registry"] = ["docker-registry", "serve", str(node.inside / "registry.yml")]
    return commands


def files(node: Node, registry_port: int) -> dict[str, str]:
    """Configuration files by name in the node's folder."""
    return {
        "containerd.toml": _containerd(node),
        "cni/10-launch.conflist": json.dumps(_cni(node)),
        **{f"registries/{host}/hosts.toml": _plain_http(host) for host in _registries(registry_port)},
        "kubelet.json": json.dumps(_kubelet_configuration(node)),
        "kube-proxy.json": json.dumps(_proxy_configuration(node)),
        "Corefile": _names(),
        "registry.yml": registry_configuration(f":{registry_port}", INSIDE / "run" / "registry"),
    }


def registry_configuration(address: str, folder: Path) -> str:
    """Of a `docker-registry`; several share one folder."""
    storage = {"filesystem": {"rootdirectory": str(folder)}, "delete": {"enabled": True}}
    log = {"accesslog": {"disabled": True}, "level": "error"}
    return json.dumps({"version": 0.1, "log": log, "storage": storage, "http": {"addr": address}})


def _registries(port: int) -> list[str]:
    return [f"{address}:{port}" for address in ("127.0.0.1", HOST_ADDRESS, *(node.address for node in NODES))]


def _plain_http(host: str) -> str:
    return f'server = "http://{host}"\n[host."http://{host}"]\ncapabilities = ["pull", "resolve", "push"]\n'


def _program(name: str) -> str:
    return str(_PROGRAMS / name)


def _control_plane() -> dict[str, Arguments]:
    return {
        "etcd": [
            _program("etcd"),
            f"--data-dir={NODES[0].inside}/etcd",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ],
        "kube-apiserver": _api_server(),
        "kube-controller-manager": [
            _program("kube-controller-manager"),
            f"--kubeconfig={_KEYS}/controllers.kubeconfig",
            f"--root-ca-file={_KEYS}/authority.crt",
            f"--cluster-signing-cert-file={_KEYS}/authority.crt",
            f"--cluster-signing-key-file={_KEYS}/authority.key",
            f"--service-account-private-key-file={_KEYS}/accounts.key",
            "--use-service-account-credentials",
            "--leader-elect=false",
            f"--flex-volume-plugin-dir={NODES[0].inside}/volume-plugins",
            # A lost node is found in half the time, so that tests of it need not wait long.
            "--node-monitor-grace-period=24s",
        ],
        "kube-scheduler": [
            _program("kube-scheduler"),
            f"--kubeconfig={_KEYS}/scheduler.kubeconfig",
            "--leader-elect=false",
        ],
        "coredns": [_program("coredns"), f"-conf={NODES[0].inside}/Corefile"],
    }


def _api_server() -> Arguments:
    return [
        _program("kube-apiserver"),
        f"--advertise-address={API_ADDRESS}",
        f"--secure-port={API_PORT}",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        f"--client-ca-file={_KEYS}/authority.crt",
        f"--tls-cert-file={_KEYS}/api.crt",
        f"--tls-private-key-file={_KEYS}/api.key",
        f"--kubelet-certificate-authority={_KEYS}/authority.crt",
        f"--kubelet-client-certificate={_KEYS}/api-to-kubelet.crt",
        f"--kubelet-client-key={_KEYS}/api-to-kubelet.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={_KEYS}/accounts.pub",
        f"--service-account-signing-key-file={_KEYS}/accounts.key",
    ]


def _kubelet(node: Node) -> Arguments:
    return [
        _program("kubelet"),
        f"--config={node.inside}/kubelet.json",
        f"--kubeconfig={_KEYS}/{node.name}.kubeconfig",
        f"--root-dir={node.inside}/kubelet",
        f"--cert-dir={node.inside}/kubelet-keys",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
        f"--node-labels=launch-jobs.test/simulated-gpu=true,nvidia.com/gpu.product={node.gpu.product}",
    ]


def _kubelet_configuration(node: Node) -> dict[str, object]:
    limits = ("nodefs.available", "nodefs.inodesFree", "imagefs.available")
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": f"{_KEYS}/authority.crt"}},
        "tlsCertFile": f"{_KEYS}/{node.name}.crt",
        "tlsPrivateKeyFile": f"{_KEYS}/{node.name}.key",
        "containerRuntimeEndpoint": f"unix://{node.inside}/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": node.cgroup,
        "failCgroupV1": False,
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "resolvConf": f"{INSIDE}/run/resolv.conf",
        "clusterDNS": [API_ADDRESS],
        "clusterDomain": "cluster.local",
        "volumePluginDir": f"{node.inside}/volume-plugins",
        "maxPods": 250,
        "imageGCHighThresholdPercent": 100,
        # A full disk of the host is not the cluster's business.
        "evictionHard": dict.fromkeys(limits, "0%"),
        "nodeLeaseDurationSeconds": 16,
        "nodeStatusUpdateFrequency": "5s",
        "shutdownGracePeriod": "0s",
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "serializeImagePulls": False,
    }


def _proxy_configuration(node: Node) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": PODS,
        "hostnameOverride": node.name,
        "clientConnection": {"kubeconfig": f"{_KEYS}/proxy.kubeconfig"},
        # Settings of the whole host, which a node has no right to change.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def _names() -> str:
    """Of CoreDNS, which runs beside the API server, not in a pod."""
    return f"""\
.:53 {{
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {_KEYS}/admin.kubeconfig
        fallthrough in-addr.arpa
    }}
    forward . {INSIDE}/run/resolv.conf
    cache 5
}}
"""


def _cni(node: Node) -> dict[str, object]:
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(node.inside / "addresses"),
            "ranges": [[{"subnet": node.pods, "gateway": node.gateway}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {
        "cniVersion": "0.4.0",
        "name": "launch",
        "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}],
    }


def _containerd(node: Node) -> str:
    programs = next((folder for folder in _CNI_PROGRAMS if Path(folder, "bridge").exists()), _CNI_PROGRAMS[0])
    return f"""\
version = 2
root = "{node.inside}/containerd"
state = "/run/containerd-state"
disabled_plugins = {json.dumps(NO_PLUGINS)}
[grpc]
address = "{node.inside}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
# This host may not let us protect a process from the kernel's end of memory.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{programs}"
conf_dir = "{node.inside}/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{node.inside}/registries"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""
