#!/usr/bin/env bash
# What people of this field try first, here and with the tool they know: each command, and what it printed.
#   bash benchmarks/ecosystem.sh > docs/results/ecosystem.md    (in an environment with gail-suite[cluster] and imitation)
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

cat > tasks.py <<'TASKS'
"""Tasks of one's own: observations that are a dictionary, and observations that are images."""
import gymnasium as gym
import numpy as np
import gail_suite.envs  # registers the toy

class Parts(gym.Wrapper):
    def __init__(self, pixels=False, render_mode=None):
        super().__init__(gym.make("gail_suite/PointToy-v0"))
        self.pixels = pixels
        box = lambda n: gym.spaces.Box(-np.inf, np.inf, (n,), np.float64)
        self.observation_space = gym.spaces.Box(0, 255, (16, 16, 3), np.uint8) if pixels else gym.spaces.Dict(place=box(1), speed=box(2))
    def seen(self, o):
        return np.zeros((16, 16, 3), np.uint8) if self.pixels else {"place": o[:1], "speed": o[1:]}
    def reset(self, **kwargs):
        o, info = self.env.reset(**kwargs)
        return self.seen(o), info
    def step(self, action):
        o, *rest = self.env.step(action)
        return (self.seen(o), *rest)

gym.register("Parts-v0", Parts, max_episode_steps=100)
gym.register("Pixels-v0", Parts, max_episode_steps=100, kwargs={"pixels": True})
TASKS

cat <<'PAGE'
# Beside the tools that people know

Written by `bash benchmarks/ecosystem.sh`: each command with the last lines that it printed, here and with imitation 1.0.1, stable-baselines3, Minari or
Gymnasium. The toy task keeps budgets at seconds.

PAGE

printf '## Observations only\n\n'
try "gail-suite record --env gail_suite/PointToy-v0 -n 4 --observations-only --out seen" 3
try "gail-suite train bc --demos seen --out clone" 2
try "python -c \"
import numpy as np
from imitation.data.types import Trajectory
Trajectory(obs=np.zeros((3, 2)), acts=None, infos=None, terminal=True)\"" 1

printf '## Discrete and Dict observations\n\nCartPole-v1 from one trajectory with 55 s of processor or 40,000 steps, `python -m benchmarks.cartpole`; `imitation_gail` is the quickstart of imitation:\n\n'
try "cut -d, -f1-6 '$root/benchmarks/results/cartpole.csv' | column -s, -t" 20 | sed "s#$root/##"
try "python -c \"
import tasks
from gail_suite import demos, envs
demos.record(envs.toy_expert, 'Parts-v0', 4, seed=0, out='parts')\"; gail-suite train bc --demos parts --import tasks --out named --steps 300 --eval-episodes 5" 2
try "python -c \"
import tasks
from gail_suite import envs
envs.make('Pixels-v0')\"" 1
try "python -c \"
import gymnasium as gym, numpy as np, tasks
from imitation.rewards.reward_nets import BasicRewardNet
env = gym.make('Parts-v0')
seen, action = env.reset()[0], env.action_space.sample()
one = {name: part[None] for name, part in seen.items()}
BasicRewardNet(env.observation_space, env.action_space).predict(one, action[None], one, np.zeros(1, bool))\"" 1

printf '## Data sets as data\n\n'
try "gail-suite record --env gail_suite/PointToy-v0 -n 4 --out a; gail-suite record --env gail_suite/PointToy-v0 -n 2 --seed 9 --out b" 2
try "gail-suite data merge a b --out both && gail-suite data split both --fraction 0.5 --out halves" 3
try "gail-suite data filter both --min-return 226 --out good; gail-suite data show good --plot good.html" 3
try "gail-suite record --env Ant-v5 -n 1 --out ant; gail-suite render ant --episode 0 -n 40 --width 160 --height 120 --out ant.gif" 2
try "minari --help | grep -iE 'combine|delete|download|list|show|split|filter|merge'" 12

printf '## Training\n\n'
try "gail-suite train gail --demos a --out best --steps 3000 --keep-best distance --patience 5 --set loop.eval_every=500 --set loop.n_envs=4" 4
try "gail-suite train sqil --demos a --out sqil --steps 1000 --eval-episodes 5" 3
try "gail-suite train dagger --demos a --out dagger --steps 2 --expert bundled --set bc.steps=300 --eval-episodes 5" 3
try "gail-suite train bc --demos a --out mixture --steps 300 --set components=2 --eval-episodes 5" 3
try "gail-suite sweep bc --demos a --out found --space lr=0.00001:0.01:log --trials 4 --seeds 0 1 --steps 200" 6
try "python -c \"
import inspect
from imitation.algorithms.adversarial.gail import GAIL
from imitation.algorithms.bc import BC
print('GAIL.train', inspect.signature(GAIL.train))
print('BC.train', *inspect.signature(BC.train).parameters)\"" 2

printf '## Hand over\n\n'
try "gail-suite export best --format onnx; gail-suite export mixture --format sb3; grep Return best/export/MODEL_CARD.md" 4
try "python -c \"
from stable_baselines3 import PPO
from imitation.policies import serialize
print([n for n in dir(PPO) if 'save' in n or 'export' in n], [n for n in dir(serialize) if 'save' in n])\"" 1

printf '## Reports\n\n'
try "gail-suite report best; grep -o 'name=.viewport.[^>]*' best/report.html" 2
try "gail-suite eval best -n 20" 2
try "gail-suite compare best sqil dagger mixture" 8
try "python -c \"
import gymnasium as gym, gail_suite.envs
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
print(evaluate_policy(PPO('MlpPolicy', gym.make('gail_suite/PointToy-v0')), gym.make('gail_suite/PointToy-v0'), 20))\"" 1

printf '## Documentation that runs\n\n'
try "cd '$root' && ls docs/notebooks && grep -c 'def test' tests/test_pages.py" 4 | sed "s#$root#gail-suite#"
try "gail-suite --help | grep -A1 completion; gail-suite trian gail" 3
try "python -c \"
import importlib.metadata
print(*(e.name for e in importlib.metadata.entry_points(group='console_scripts') if e.dist.name == 'imitation'))\"" 1
