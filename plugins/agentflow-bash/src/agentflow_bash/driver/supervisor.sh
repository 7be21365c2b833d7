# The first process of a session: starts its shell and tells how it ended; beside it, one that stops what is to be stopped.
#
# $alone says whether all processes that it sees are the session's (y or n), $control is the folder; the first shell has
# been started by the line that reads this. When a shell has ended, its status is told by `g` on CONTROL/replies, and for
# a line on CONTROL/starts the next one is started. Beside that, orders are read from CONTROL/orders, a line each: an id, a
# word, the number of the shell and arguments; each is answered by `k` and the id on CONTROL/replies.
# Both use nothing but builtins, since a session at its limit of processes could start no other.
LC_ALL=C IFS=' '
exec 3<"$control/orders" 4<"$control/starts" </dev/null || exit
set +m -f

look() { # SHELL SINCE PID…: find what was begun since then, in hundredths of a second of uptime; not those named, nor what
  # they or others began
  local shell=$1 since=$2 stat each at fields parent=() born=() group=()
  found=()
  shift 2
  set +f
  for each in /proc/[0-9]*; do
    stat=''
    read -r -d '' stat <"$each/stat" || [[ $stat ]] || continue
    fields=(${stat##*) })
    [[ ${fields[0]} != Z ]] || continue
    at=${each#/proc/}
    parent[at]=${fields[1]} group[at]=${fields[3]} born[at]=${fields[19]}
  done
  set -f
  for each in "${!born[@]}"; do
    ((each != $$ && each != BASHPID && each != shell && each != 1)) || continue
    at=$each
    while :; do
      if [[ " $* " == *" $at "* ]] || ((born[at] < since)); then continue 2; fi
      at=${parent[at]}
      ((at != shell)) || break
      if ((at == $$ || at <= 1)) || [[ ! ${born[at]-} ]]; then # its parent is gone
        [[ $alone == y || ${group[each]} == "${group[$$]}" ]] && break
        continue 2
      fi
    done
    found+=("$each")
  done
}

finish() { # SHELL SINCE PID…: kill what was begun since then, first holding it so that nothing new comes of it
  local shell=$1 since=$2 before='-' rounds
  shift 2
  for ((rounds = 0; rounds < 60; rounds++)); do
    look "$shell" "$since" "$@"
    ((${#found[@]})) || return
    if [[ "${found[*]}" == "$before" ]]; then kill -KILL "${found[@]}"; else kill -STOP "${found[@]}"; fi
    before="${found[*]}"
  done
}

orders() {
  local id word shell rest said
  while :; do
    read -r id word shell rest <&3 || exit # nobody is left who could order
    said=''
    case $word in
      there) kill -0 "$shell" && said=y ;;
      interrupt) kill -INT -- "-$shell"; read -r said rest </proc/uptime; said=$((10#${said/./})) ;;
      finish) finish "$shell" $rest ;;
      end) kill -KILL "$shell"; finish "$shell" $rest ;;
      signal) kill -s ${rest% *} -- "-${rest#* }" && said=y ;;
      port) { : <>"/dev/tcp/127.0.0.1/$rest" || : <>"/dev/tcp/::1/$rest"; } && said=y ;;
      hold) [[ $alone != y ]] || kill -STOP -- -1 ;;
      go) [[ $alone != y ]] || kill -CONT -- -1 ;;
    esac
    printf '%s\0' k "$id" "$said" >"$control/replies"
  done
}

shell=$!
orders 2>/dev/null 4<&- &
exec 2>/dev/null 3<&-
while :; do
  wait "$shell" # without -m: it would return when the shell is stopped, and `wait -f` can spin for ever (bash 5.2)
  printf '%s\0' g "$?" >"$control/replies"
  read -r go <&4 || exit
  set -m
  start 3<&- 4<&- &
  shell=$!
  set +m
done
