set -eu
cd "$(dirname "$0")/.."
export OUT="${OUT:-out}"
mkdir -p "$OUT"
python3 prepare.py | tee "$OUT/prepare.log"
for seed in 1 2; do
  python3 train.py --seed "$seed" --data "$OUT/data.csv" "$@"
done
