#!/bin/sh
# Two steps of one experiment.
set -eu
python prepare.py --rows "${ROWS:-4}"
python score.py "$@"
