# A job that is its own witness. $1: file, $2: number, $3: seconds.
echo "begin $2 $(date +%s.%N)" >>"$1"
[ "$3" = 0 ] || sleep "$3"
echo "end $2 $(date +%s.%N)" >>"$1"
