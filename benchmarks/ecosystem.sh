#!/usr/bin/env bash
# What people of this field try first, here and with the tool they know: each command, and what it printed.
#   bash benchmarks/ecosystem.sh > docs/results/ecosystem.md      (in an environment with gail-suite and imitation)
set -u
root=$PWD
cd "$(mktemp -d)"
export PYTHONWARNINGS=ignore PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"

# one command and the last lines that it prints
try() {
  printf '```console\n$ %s\n' "$1"
  bash -c "$1" 2>&1 | grep -v '^step \|warning' | tail -n "${2:-4}" | cut -c1-300
  printf '```\n\n'
}

cat <<'PAGE'
# Beside the tools that people know

Written by `bash benchmarks/ecosystem.sh`: each command with the last lines that it printed. The toy task keeps budgets at seconds.

PAGE

echo "## Observations only"
echo
try "gail-suite record --env gail_suite/PointToy-v0 -n 4 --observations-only --out seen" 3
try "gail-suite train bc --demos seen --out clone" 2
try "python -c \"
import numpy as np
from imitation.data.types import Trajectory
Trajectory(obs=np.zeros((3, 2)), acts=None, infos=None, terminal=True)\"" 1

echo "## Data sets as data"
echo
try "gail-suite record --env gail_suite/PointToy-v0 -n 4 --out a; gail-suite record --env gail_suite/PointToy-v0 -n 2 --seed 9 --out b" 2
try "gail-suite data merge a b --out both && gail-suite data split both --fraction 0.5 --out halves" 3
try "minari --help | grep -iE 'combine|delete|download|list|show|split|filter|merge'" 12

cat <<'PAGE'
## Elsewhere

CartPole-v1 from one trajectory, beside the quickstart of imitation: [RESULTS](../../RESULTS.md), `python -m benchmarks.cartpole`.
PAGE
