# The first process of a session of ProcessBackend. Reads "verb token size name" and size bytes again and again, and
# answers "token status total size" and bytes. Where it finds the two FIFOs is the first line on its stdin.
# A command runs beside the loop, so that it can be stopped by what is read meanwhile. Whoever has the number 1 or 2 is
# first in a process namespace of its own: only there does a signal to all processes mean those of the session.
LC_ALL=C
read -r control
exec 3<"$control/commands" 4>"$control/replies" && exec </dev/null >/dev/null 2>&1 || exit
names='' call=''

work() { # run $text, answer its output up to $name bytes; nothing else has the file that it is kept in
  over=''
  trap 'over=y' TERM # until there is something to stop
  trap 'printf "%s 255 0 0\n" "$token" >&4' EXIT # where no more processes can be started
  exec 3<&- 5>.output 6<.output 7<.output
  rm -f .output
  (
    exec 4>&- 6<&- 7<&-
    for each in $names; do eval "export $each=\$var_$each"; done
    exec setsid sh -c "$text"
  ) >&5 2>&1 5>&- &
  group=$!
  trap stop TERM
  [ -z "$over" ] || stop
  wait "$group"
  status=$? total=$(wc -c <&6) text=$(head -c "$name" <&7; echo .)
  text=${text%.}
  trap - EXIT
  printf '%s %d %d %d\n%s' "$token" "$status" "$total" "${#text}" "$text" >&4
}

stop() { # the command, which may not lead its group yet, and all that it has begun
  trap - EXIT
  kill -s KILL "$group"
  kill -s KILL -- "-$group"
  exit
}

while read -r verb token size name <&3; do
  text=
  if [ "$size" -gt 0 ]; then text=$(head -c "$size" <&3; echo .); text=${text%.}; fi
  case $verb in
    run) work & call=$!; continue ;;
    set) eval "var_$name=\$text"; case " $names " in *" $name "*) ;; *) names="$names $name" ;; esac ;;
    signal) [ $$ -le 2 ] || exit; kill -s "$name" -- -1; if [ "$name" = KILL ]; then wait; fi ;;
    end) kill "$call"; wait ;;
  esac
  printf '%s 0 0 0\n' "$token" >&4
done
