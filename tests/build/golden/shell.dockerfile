### image launch-jobs/job:ee177ee1626747e3562d34b836061ec8
FROM docker.io/library/python:3.11-slim
USER 0:0
COPY --chown=1000:1000 source/ /workspace/
WORKDIR /workspace
ENV HOME=/tmp USER=launch PYTHONUNBUFFERED=1
USER 1000:1000
ENTRYPOINT []
CMD ["sh", "-c", "echo \"$HOME\" && ./run.sh\n"]
LABEL org.launch-jobs.job-digest="sha256:1ce9625141c65f878234c4866740f5fe7a97840c66deefe2fc65eddc77108ce0" org.launch-jobs.image-digest="sha256:ee177ee1626747e3562d34b836061ec82c57bf630334f498e385b61569cffeb7" org.opencontainers.image.base.name="docker.io/library/python:3.11-slim" org.opencontainers.image.base.digest="sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
