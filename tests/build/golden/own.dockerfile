### image launch-jobs/job:73b6a6d1674c55298c2efe79ff1af11a
# syntax=docker/dockerfile:1
ARG BASE=debian:bookworm-slim
FROM golang:1.23 AS build
RUN go build -o /serve \
    ./cmd
FROM ${BASE}
COPY --from=build /serve bin/serve
WORKDIR bin
ENTRYPOINT []
CMD ["./serve"]
LABEL org.launch-jobs.job-digest="sha256:cd962046faebce7dd364d6b912898778bae0757c14a0817b0b014df534fe93ea" org.launch-jobs.image-digest="sha256:73b6a6d1674c55298c2efe79ff1af11afcdeaa8488f400ffd55a7303e640dbc8" org.opencontainers.image.base.name="docker.io/library/python:3.11-slim" org.opencontainers.image.base.digest="sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
