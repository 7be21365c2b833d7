# The first process of a session: starts its shell and tells how it ended; beside it, one that stops what is to be stopped.
#
# $alone says whether all processes that it sees are the session's (y or n), $control is the folder. For each line on
# CONTROL/starts it starts a shell, and tells its status by `g` on CONTROL/replies. Beside it orders are read from
# CONTROL/orders, a line each: an id, a word, the number of the shell and arguments; each is answered by `k` and the id.
# Both use nothing but builtins, since a session at its limit of processes could start no other.
LC_ALL=C IFS=' '
exec 3<"$control/orders" 4<"$control/starts" </dev/null || exit
unset SHLVL OLDPWD
set -f

look() { # SHELL SINCE PID…: find what was begun since then; not those named, nor what they or others began
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

finish() { # SHELL HUNDREDTHS PID…: kill what was begun so long ago or later, first holding it so that nothing new comes of it
  local shell=$1 ago=$2 before='-' rounds up rest
  shift 2
  read -r up rest </proc/uptime
  for ((rounds = 0; rounds < 60; rounds++)); do
    look "$shell" "$((10#${up/./} - ago))" "$@"
    ((${#found[@]})) || return
    if [[ "${found[*]}" == "$before" ]]; then kill -KILL "${found[@]}"; else kill -STOP "${found[@]}"; fi
    before="${found[*]}"
  done
}

orders() {
  local id word shell rest said
  while :; do
    read -r id word shell rest <&3 || continue
    said=''
    case $word in
      there) kill -0 "$shell" && said=y ;;
      interrupt) kill -INT -- "-$shell" ;;
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

orders 2>/dev/null &
exec 3<&-
set -m
while read -r start <&4; do
  BASH_ENV=$control/shell.sh "$BASH" --norc --noprofile -s <"$control/commands" >/dev/null 4<&- &
  exec 2>/dev/null
  wait -f "$!"
  printf '%s\0' g "$?" >"$control/replies"
done
