# What the shell of a session knows beside what its user tells it: read at its start, as BASH_ENV.
#
# The shell reads its script from the FIFO CONTROL/commands, so that nothing stands around what it is told: no loop that
# `break` would leave, no function in which `declare` would be local. One command is three things in a row:
#     . CONTROL/bash                      takes what follows and runs it; in a file, so that an interrupt can return
#     TOKEN OUTPUT FLAGS SIZE SIZE        then so many characters: what comes before the command, and the command
#     __agentflow_reply || builtin :
# The answer goes to CONTROL/replies. Where the shell is and what it runs in the background goes to CONTROL/state before,
# and all that makes it up after that, when nobody waits for it.
# A builtin is called by `builtin`, since its name may be that of a function by now.
exec 2>/dev/null
__agentflow=${BASH_ENV%/*}
unset BASH_ENV
__agentflow_status=0 __agentflow_token=- __agentflow_stopping='' __agentflow_undo='' __agentflow_trouble=''
trap __agentflow_interrupt INT
trap __agentflow_exit EXIT

__agentflow_take() { # read the next command; the status is that of the last one
  if [[ $__agentflow_stopping ]]; then __agentflow_settle; fi
  __agentflow_command='' __agentflow_before=''
  builtin read -r __agentflow_token __agentflow_output __agentflow_flags __agentflow_size __agentflow_rest
  if ((__agentflow_size)); then LC_ALL=C IFS='' builtin read -r -N "$__agentflow_size" __agentflow_before; fi
  LC_ALL=C IFS='' builtin read -r -N "$__agentflow_rest" __agentflow_command
  __agentflow_command=${__agentflow_command:?} # a shell without `builtin` cannot be told anything: it ends here
  __agentflow_out=$__agentflow/out.$__agentflow_output __agentflow_err=$__agentflow/err.$__agentflow_output
  __agentflow_in=/dev/null
  if [[ $__agentflow_flags == *i* ]]; then __agentflow_in=$__agentflow/in.$__agentflow_token; fi
  if [[ $__agentflow_flags == *q* ]]; then __agentflow_out=/dev/null __agentflow_err=/dev/null; fi
  if [[ $__agentflow_before ]]; then builtin eval "$__agentflow_before"; fi
  command exec >|"$__agentflow_out" # of the shell itself, for what is done at its end
  if [[ $__agentflow_trouble ]]; then __agentflow_command='builtin :'; fi
  if [[ $- == *x* ]]; then
    builtin set +x
    __agentflow_traced=y
    __agentflow_command="__agentflow_traced=; builtin set -x; $__agentflow_command"
  fi
  builtin return "$__agentflow_status"
}

__agentflow_reply() { # tell the status, where the shell is, and what runs in the background
  __agentflow_status=$?
  command exec >|/dev/null
  if [[ $- == *x* ]]; then __agentflow_traced=y; builtin set +x; fi
  if [[ $__agentflow_stopping ]]; then __agentflow_settle; __agentflow_status=130; fi
  __agentflow_there=''
  builtin printf -v __agentflow_there y
  __agentflow_there=${__agentflow_there:?} # a shell that has no `builtin` any more cannot answer: it ends here
  if [[ $__agentflow_undo ]]; then builtin eval "$__agentflow_undo"; __agentflow_undo=''; fi
  { # one write wakes the server, which then finds the rest
    builtin pwd
    builtin printf '\0'
    builtin jobs -rp
    builtin printf '\0'
    builtin printf '%s\0' r "$__agentflow_token" "$__agentflow_status" "$__agentflow_trouble" >|"$__agentflow/replies"
    __agentflow_trouble='' __agentflow_command='' __agentflow_before=''
    __agentflow_dump
  } >|"$__agentflow/state"
  if [[ ${__agentflow_traced-} ]]; then __agentflow_traced=''; builtin set -x; fi
}

__agentflow_dump() { # all that makes up the shell, in parts that can be evaluated one after the other
  builtin shopt -p
  builtin printf '\0'
  builtin declare -p
  builtin printf '\0'
  builtin declare -f
  builtin declare -F
  builtin printf '\0'
  builtin alias -p
  builtin umask -p
  builtin printf '\0'
  builtin set +o
  builtin printf '\0%s\0' "$__agentflow_token"
}

__agentflow_exit() { # by `exit`, or by `set -e`: what makes up the shell outlives it
  builtin set +x
  if [[ $__agentflow_stopping ]]; then __agentflow_settle; fi
  if [[ $__agentflow_undo ]]; then builtin eval "$__agentflow_undo"; fi
  {
    builtin pwd
    builtin printf '\0\0'
    builtin printf '%s\0' x "$__agentflow_token" >|"$__agentflow/replies"
    __agentflow_command='' __agentflow_before=''
    __agentflow_dump
  } >|"$__agentflow/state"
}

__agentflow_interrupt() { # give the command up: whatever would come next returns from where it stands
  __agentflow_stopping=$-.
  builtin shopt -s extdebug
  builtin trap '[[ ${#BASH_SOURCE[@]} -eq 0 || ${FUNCNAME-} == __agentflow_* ]] || __agentflow_give_up' DEBUG
}

__agentflow_give_up() { builtin return 2; }

__agentflow_settle() { # be as before the interrupt
  builtin trap - DEBUG
  builtin shopt -u extdebug
  if [[ $__agentflow_stopping == *E* ]]; then builtin set -E; fi
  if [[ $__agentflow_stopping == *T* ]]; then builtin set -T; fi
  __agentflow_stopping=''
}

__agentflow_start() { # NUMBER COMMAND: run a job beside the shell, as a copy of it; how it ended goes to CONTROL/events
  builtin local __agentflow_options=$- __agentflow_from __agentflow_to
  builtin set -m
  { # the keeper: it has opened both ends when it tells of the job
    builtin set +eux
    builtin set -m
    command exec {__agentflow_from}<"$__agentflow/input.$1" {__agentflow_to}>|"$__agentflow/job.$1"
    (
      command exec {__agentflow_from}<&- {__agentflow_to}>&-
      builtin set +m
      if [[ $__agentflow_options == *e* ]]; then builtin set -e; fi
      if [[ $__agentflow_options == *u* ]]; then builtin set -u; fi
      __agentflow_command=$2
      builtin shift 2
      builtin eval "$__agentflow_command"
    ) <&"$__agentflow_from" >&"$__agentflow_to" 2>&1 &
    command exec {__agentflow_from}<&- {__agentflow_to}>&-
    builtin printf '%s\0' p "$1" "$BASHPID" "$!" >|"$__agentflow/events"
    builtin set +m
    builtin wait "$!"
    builtin printf '%s\0' e "$1" "$?" '' >|"$__agentflow/events"
  } </dev/null >/dev/null 2>&1 &
  builtin disown "$!"
  if [[ $__agentflow_options != *m* ]]; then builtin set +m; fi
}

builtin printf '%s\0' s "$$" >|"$__agentflow/replies"
