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

### image launch-jobs/env:757af0f46ef66c8d3f817186a832adf3
FROM docker.io/library/python:3.11-slim
USER 0:0
COPY launch/ /opt/launch/
RUN cat /etc/ssl/certs/ca-certificates.crt /opt/launch/ca.pem > /opt/launch/ca-bundle.pem 2>/dev/null || cp /opt/launch/ca.pem /opt/launch/ca-bundle.pem
ENV SSL_CERT_FILE=/opt/launch/ca-bundle.pem REQUESTS_CA_BUNDLE=/opt/launch/ca-bundle.pem CURL_CA_BUNDLE=/opt/launch/ca-bundle.pem PIP_CERT=/opt/launch/ca-bundle.pem GIT_SSL_CAINFO=/opt/launch/ca-bundle.pem
RUN --mount=type=cache,id=launch-jobs,target=/var/cache/launch ["sh", "/opt/launch/install.sh", "3.11.7", "0.13.9", "https://pypi.example.org/simple"]
ENV VIRTUAL_ENV=/opt/launch/venv PATH=/opt/launch/venv/bin:$PATH
LABEL org.launch-jobs.environment-digest="sha256:757af0f46ef66c8d3f817186a832adf371c0ca3cef7cc2f4361517290a1e2ec5" org.opencontainers.image.base.name="docker.io/library/python:3.11-slim" org.opencontainers.image.base.digest="sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

### image launch-jobs/job:2367a5d6fbdfc4fcfd7417c12cc0c21f
FROM launch-jobs/env:757af0f46ef66c8d3f817186a832adf3
COPY --chown=1000:1000 source/ /workspace/
WORKDIR /workspace/examples/digits
ENV HOME=/tmp USER=launch PYTHONUNBUFFERED=1
USER 1000:1000
ENTRYPOINT []
CMD ["python", "train.py"]
LABEL org.launch-jobs.job-digest="sha256:c56161ed754fcfa0b044e8c0fa83c7eab2022a0f5b097fa46a7c36702aeae789" org.launch-jobs.image-digest="sha256:2367a5d6fbdfc4fcfd7417c12cc0c21febfa604b3421bea8ec9f405cb16887f7" org.opencontainers.image.base.name="docker.io/library/python:3.11-slim" org.opencontainers.image.base.digest="sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
