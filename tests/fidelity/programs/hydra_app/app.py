"""A hydra application: the model's class is named in its configuration."""

import json
import pathlib

import hydra
from hydra.utils import instantiate


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    model = instantiate(cfg.model)
    losses = [round(model.loss(step), 4) for step in range(cfg.steps)]
    print(type(model).__name__, losses)
    pathlib.Path("losses.json").write_text(json.dumps(losses))


if __name__ == "__main__":
    main()
