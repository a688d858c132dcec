import json
from pathlib import Path

WORDS = json.loads((Path(__file__).parent / "vocabulary.json").read_text())
