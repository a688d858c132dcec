### launch/ca.pem
-----BEGIN CERTIFICATE-----
MII
-----END CERTIFICATE-----

### launch/requirements.lock
numpy==2.3.4
scikit-learn==1.7.2
six @ git+https://example.org/six.git@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa

### launch/site/digits_lib-0.3.dist-info/INSTALLER
launch-jobs

### launch/site/digits_lib-0.3.dist-info/METADATA
Metadata-Version: 2.1
Name: digits-lib
Version: 0.3

### launch/site/launch-jobs-source.pth
/workspace/libs/digits/src
/workspace/libs/digits

### image launch-jobs/env:e9c72940f5a77cfc11edc935aa5c3c9a
FROM docker.io/library/python:3.11-slim
USER 0:0
COPY launch/ /opt/launch/
RUN cat /etc/ssl/certs/ca-certificates.crt /opt/launch/ca.pem > /opt/launch/ca-bundle.pem 2>/dev/null || cp /opt/launch/ca.pem /opt/launch/ca-bundle.pem
ENV SSL_CERT_FILE=/opt/launch/ca-bundle.pem REQUESTS_CA_BUNDLE=/opt/launch/ca-bundle.pem CURL_CA_BUNDLE=/opt/launch/ca-bundle.pem PIP_CERT=/opt/launch/ca-bundle.pem GIT_SSL_CAINFO=/opt/launch/ca-bundle.pem
RUN --mount=type=cache,id=launch-jobs,target=/var/cache/launch ["sh", "/opt/launch/install.sh", "3.11.7", "0.13.9", "https://pypi.example.org/simple"]
ENV VIRTUAL_ENV=/opt/launch/venv PATH=/opt/launch/venv/bin:$PATH
LABEL org.launch-jobs.environment-digest="sha256:e9c72940f5a77cfc11edc935aa5c3c9a6eed8ca7a29c0c1e31f36798b1f0d4ad" org.opencontainers.image.base.name="docker.io/library/python:3.11-slim" org.opencontainers.image.base.digest="sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

### image launch-jobs/job:74f4540e5b7608c82078325880c58a6f
FROM launch-jobs/env:e9c72940f5a77cfc11edc935aa5c3c9a
COPY --chown=1000:1000 source/ /workspace/
WORKDIR /workspace/examples/digits
ENV HOME=/tmp USER=launch PYTHONUNBUFFERED=1
USER 1000:1000
ENTRYPOINT []
CMD ["python", "train.py"]
LABEL org.launch-jobs.job-digest="sha256:617b53a4a7bc633696ea2e22fd02463c152df0fae3890cdb9bc5296a87e50b16" org.launch-jobs.image-digest="sha256:74f4540e5b7608c82078325880c58a6f94d7cbfbcd3879ff2e0c4df3f093acdd" org.opencontainers.image.base.name="docker.io/library/python:3.11-slim" org.opencontainers.image.base.digest="sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
