"""Names beyond ASCII: of the program, of its data and of what it writes."""

import argparse
import pathlib

parser = argparse.ArgumentParser()
parser.add_argument("--dossier", default="données/été 2024")
parser.add_argument("--unité", choices=["°C", "°F"], default="°C")
args = parser.parse_args()
einheit = getattr(args, "unité")
lines = (pathlib.Path(args.dossier) / "mesures.csv").read_text(encoding="utf-8").splitlines()[1:]
Ergebnis = []
for line in lines:
    zahl, ville = line.split(";")
    wert = float(zahl.replace(",", "."))
    Ergebnis.append(f"{ville}: {wert if einheit == '°C' else wert * 9 / 5 + 32:.1f} {einheit}")
print("\n".join(Ergebnis))
pathlib.Path("résumé ☀.txt").write_text("\n".join(Ergebnis), encoding="utf-8")
