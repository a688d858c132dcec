### image launch-jobs/job:31ab87be4022dc83a29955e9c65c3b6d
FROM docker.io/library/python:3.11-slim
USER 0:0
COPY --chown=1000:1000 source/ /workspace/
WORKDIR /workspace
ENV HOME=/tmp USER=launch PYTHONUNBUFFERED=1
USER 1000:1000
ENTRYPOINT []
CMD ["sh", "-c", "echo \"$HOME\" && ./run.sh\n"]
LABEL org.launch-jobs.job-digest="sha256:43173069f967f7ae67a98ce2dbcba342ab3279dca901d0bef94fb7172a60bd4b" org.launch-jobs.image-digest="sha256:31ab87be4022dc83a29955e9c65c3b6dcd9a94e0c62eb6dc8697257f07c673fe" org.opencontainers.image.base.name="docker.io/library/python:3.11-slim" org.opencontainers.image.base.digest="sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
