"""An MLflow project as people write them: values in the middle of the command, by position, in and out of quotes."""

from __future__ import annotations

from pathlib import Path

MLPROJECT = """\
name: Elastic Net
python_env: python_env.yaml
entry_points:
  main:
    parameters:
      alpha: {type: float, default: 0.5}
      l1_ratio: {type: float, default: 0.1}
      data: {type: path, default: "wine data.csv"}
      title: {type: string, default: 'a "b" $HOME `c` \\'}
    command: "python show.py {alpha} {l1_ratio} --data={data} --title \\"<{title}>\\" '{title}'"
  validate:
    parameters:
      model: uri
      depth: {type: int, default: 3}
    command: "python show.py validate {model} {depth} && python show.py done"
"""
PYTHON_ENV = 'python: "3.11"\nbuild_dependencies: [pip]\ndependencies:\n  - -r requirements.txt\n'
SHOW = "import json, sys\nprint('ARGUMENTS', json.dumps(sys.argv[1:]))\n"


def elastic_net(folder: Path, requirements: str = "six==1.16.0\n") -> Path:
    """Write the project."""
    folder.mkdir(parents=True)
    (folder / "MLproject").write_text(MLPROJECT)
    (folder / "python_env.yaml").write_text(PYTHON_ENV)
    (folder / "requirements.txt").write_text(requirements)
    (folder / "show.py").write_text(SHOW)
    return folder
