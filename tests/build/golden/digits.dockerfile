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

### image launch-jobs/job:e6b7fabf1108594263c81c1d3a735772
FROM launch-jobs/env:757af0f46ef66c8d3f817186a832adf3
COPY --chown=1000:1000 source/ /workspace/
WORKDIR /workspace/examples/digits
ENV HOME=/tmp USER=launch PYTHONUNBUFFERED=1
USER 1000:1000
ENTRYPOINT []
CMD ["python", "train.py"]
LABEL org.launch-jobs.job-digest="sha256:617b53a4a7bc633696ea2e22fd02463c152df0fae3890cdb9bc5296a87e50b16" org.launch-jobs.image-digest="sha256:e6b7fabf1108594263c81c1d3a7357729d2cde63fcae34d071a6f2e665fb53b6" org.opencontainers.image.base.name="docker.io/library/python:3.11-slim" org.opencontainers.image.base.digest="sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
