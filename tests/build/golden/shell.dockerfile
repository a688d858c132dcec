### image launch-jobs/job:0c80619c6948a244fdd207dca81b0f9a
FROM docker.io/library/python:3.11-slim
USER 0:0
COPY --chown=1000:1000 source/ /workspace/
WORKDIR /workspace
ENV HOME=/tmp USER=launch PYTHONUNBUFFERED=1
USER 1000:1000
ENTRYPOINT []
CMD ["sh", "-c", "echo \"$HOME\" && ./run.sh\n"]
LABEL org.launch-jobs.job-digest="sha256:cc2cfdc106cb6cd70a6937f0fb73816ff750b791da4bb8975b5ddece301d05e8" org.launch-jobs.image-digest="sha256:0c80619c6948a244fdd207dca81b0f9a22a140d45ede3ec2c95494c661f08fca" org.opencontainers.image.base.name="docker.io/library/python:3.11-slim" org.opencontainers.image.base.digest="sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
