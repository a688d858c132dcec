# The benchmark's program. $1: quick | hold | stubborn; $2: exit code of one that is let go by SIGUSR1.
case $1 in
quick) ;;
hold)
    trap 'exit $2' USR1
    trap 'exit 143' TERM
    sleep 100000 &
    wait
    ;;
stubborn)
    trap '' TERM
    sleep 100000
    ;;
esac
