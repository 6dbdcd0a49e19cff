# shellcheck shell=bash
# What every job of a study does around its one command. Sourced by the scripts beside this file, after they set
#   folder    this folder: state/, logs/
#   name      the configuration, or "analysis"
# and for a configuration
#   record    its OUT.h5
#   bytes     what that takes on the disk, 0: not known
#   device    cpu | cuda
#   launch    the words that start its ranks: srun … or mpirun …
#   command   shardrift-run and its words
# or for the analysis
#   check, command   shardrift and its words
#
# What happened is written down in state/NAME, for `shardrift status`: lines of key=value.
# Exit codes are the program's: 0 done, 64 refused, 65 bad data, 70 failure, 75 interrupted, goes on when requeued.
# shellcheck disable=SC2154 # the variables above

say() { printf '[%(%F %T)T] %s: %s\n' -1 "${SLURMD_NODENAME:-$HOSTNAME}" "$*"; }

# The job as squeue calls it.
if [[ -n ${SLURM_ARRAY_JOB_ID:-} ]]; then
  job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
else
  job=${SLURM_JOB_ID:-none}
fi
stopping= # set by the signal before the time limit
started=  # process number of the launcher
gpu=
concluded= # set once state/NAME says how it ended

# note STATE CODE [WORDS]: a whole new file or, on a full disk, the old one.
note() {
  local file=$folder/state/$name words=${3:-} text
  printf -v text 'state=%s\ncode=%s\njob=%s\nnodes=%s\ntime=%(%FT%T%z)T\ngpu=%s\nwords=%s' "$1" "$2" "$job" \
    "${SLURM_JOB_NODELIST:-$HOSTNAME}" -1 "$gpu" "${words//$'\n'/ }"
  if ! { printf '%s\n' "$text" >"$file.$job.tmp" && mv -f "$file.$job.tmp" "$file"; } 2>/dev/null; then
    say "$file cannot be written"
  fi
  [[ $1 == running ]] || concluded=1
}

# A command of this script that failed unforeseen; signals are told by Slurm itself.
on_exit() {
  local code=$? at=$BASH_COMMAND
  ((code == 0 || code > 128)) || [[ -n $concluded ]] || note failed "$code" "the job stopped at: $at"
}
trap on_exit EXIT

# fail CODE WORDS…
fail() {
  local code=$1
  shift
  say "$*"
  note failed "$code" "$*"
  exit "$code"
}

# -- before the command --------------------------------------------------------------------------------------
# Batch jobs are no login shells: the command `module` may have to be fetched first.
find_module_command() {
  local place
  for place in "${LMOD_PKG:-/nowhere}/init/bash" "${MODULESHOME:-/nowhere}/init/bash" /etc/profile.d/lmod.sh \
    /etc/profile.d/modules.sh /usr/share/lmod/lmod/init/bash /usr/share/modules/init/bash; do
    type -t module >/dev/null && return
    # shellcheck source=/dev/null
    [[ ! -r $place ]] || source "$place" || true
  done
  type -t module >/dev/null
}

# load_module NAME: old versions answer 0 whatever happens, so what they print counts too.
load_module() {
  local printed=$folder/state/$name.$job.module code=0
  set +u
  find_module_command || fail 70 "module $1 cannot be loaded: $HOSTNAME has no command 'module'"
  module load "$1" >"$printed" 2>&1 || code=$?
  set -u
  cat "$printed"
  if ((code != 0)) || grep -qE 'ERROR:|Unable to locate a modulefile' "$printed"; then
    rm -f "$printed"
    fail 70 "module $1 cannot be loaded on $HOSTNAME: see 'module avail' and the profile's modules"
  fi
  rm -f "$printed"
}

# set_up, and what it exported goes to the ranks, on whatever node and however they are started.
#   --export=NONE, or a site that sets SLURM_EXPORT_ENV=NONE, keeps it from what srun starts: ranks, and the daemons that
#   mpirun starts on other nodes. Such a daemon started by ssh has nothing but what mpirun is told by name.
# SHARDRIFT_VARIABLES names what was exported, so that the record shows it.
exported() { compgen -e | grep -vxE '_|SHLVL|PWD|OLDPWD|(BASH_|SLURM_|_*LMOD|_LMFILES|_ModuleTable).*' || true; }
prepare() {
  local variable
  local -A before=()
  local set_here=()
  while read -r variable; do before[$variable]=${!variable-}; done < <(exported)
  set_up
  unset SLURM_EXPORT_ENV
  while read -r variable; do
    [[ -n ${before[$variable]+there} && ${before[$variable]} == "${!variable-}" ]] || set_here+=("$variable")
  done < <(exported)
  export SHARDRIFT_VARIABLES="${set_here[*]-}"
  [[ ${launch[0]} == mpirun ]] || return 0
  for variable in $SHARDRIFT_VARIABLES SHARDRIFT_VARIABLES; do launch+=(-x "$variable"); done
}

check_disk() {
  local place free recorded=0
  place=$(dirname "$record")
  free=$(df --output=avail --block-size=1 "$place" | tail -n 1) ||
    fail 70 "the folder of the records, $place, cannot be reached from $HOSTNAME"
  [[ ! -d $record.parts ]] || recorded=$(du --bytes --summarize "$record.parts" | cut -f 1)
  ((free >= bytes - recorded)) || fail 70 "the disk of $place has $((free >> 20)) MiB free, the record of $name needs" \
    "$(((bytes - recorded) >> 20)) MiB more: make room, or submit with another --output"
}

# One model of GPU in the whole study: results of different GPUs have different bits for another reason than the
# plan. The first task says which; the worker checks the other nodes of a job in the same way.
check_gpus() {
  local models first=$folder/gpu-model
  [[ $device == cuda ]] || return 0
  models=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | sort -u) || models=
  [[ -n $models ]] || fail 70 "node $HOSTNAME shows no GPU (nvidia-smi finds none): see the profile's gpus, gpu_type" \
    "and partition"
  [[ $models != *$'\n'* ]] || fail 64 "node $HOSTNAME has GPUs of different models (${models//$'\n'/, }):" \
    "a study needs one: set gpu_type or constraint in the profile"
  gpu=$models
  printf '%s\n' "$models" >"$first.$job"
  ln "$first.$job" "$first" 2>/dev/null || true # one task is the first
  rm -f "$first.$job"
  [[ $(<"$first") == "$models" ]] || fail 64 "node $HOSTNAME has $models, the study began on $(<"$first"):" \
    "mixed GPU models are refused; set gpu_type or constraint in the profile and submit again"
}

# -- the command ---------------------------------------------------------------------------------------------
# Prompts that are safely on disk.
finished_prompts() { { find "$record.parts" -maxdepth 1 -name '[!+]*.h5' 2>/dev/null || true; } | wc -l; }

# Both srun and mpirun hand SIGUSR1 on to every rank; the worker finishes what it is writing and exits with 75.
on_signal() {
  say "the time limit is near: asking the ranks to stop"
  stopping=1
  [[ -z $started ]] || kill -USR1 "$started" 2>/dev/null || true
}
trap on_signal USR1

# run_ranks: sets code. A trapped signal ends `wait` early, so it is asked until the program has ended.
run_ranks() {
  "${launch[@]}" "${command[@]}" &
  started=$!
  while true; do
    code=0
    wait "$started" || code=$?
    kill -0 "$started" 2>/dev/null || break
  done
  started=
}

log_size() { stat -L -c %s /proc/self/fd/2 2>/dev/null || echo 0; }

# why CODE SIZE: the program's last sentence since byte SIZE of this job's log; without one, what the code says, or the
# launcher.
why() {
  local log said otherwise="exit code $1"
  (($1 != 0)) || otherwise="${launch[0]} ended without an error, but no rank wrote $record: its step never began"
  log=$(readlink -f /proc/self/fd/2)
  said=$(tail -c "+$(($2 + 1))" "$log" 2>/dev/null | grep -aE '^(shardrift-run|shardrift): ' | tail -n 1) || true
  if [[ -z $said ]]; then
    case $1 in
      137) said="a rank was killed (SIGKILL: out of memory, or by hand)" ;;
      139) said="a rank crashed (SIGSEGV)" ;;
      *) said=$(tail -c "+$(($2 + 1))" "$log" 2>/dev/null | grep -aE '^(srun|slurmstepd|mpirun)[^:]*: ' | tail -n 1) || true ;;
    esac
  fi
  printf '%s' "${said:-$otherwise}"
}

# go_on_later BEFORE: requeued, unless two tries in a row finished no prompt: that would go on for ever.
go_on_later() {
  local finished stalled=$folder/state/$name.stalled
  finished=$(finished_prompts)
  if [[ -e $folder/cancelled ]]; then
    note interrupted 75 "cancelled; $finished prompts are recorded"
    exit 75
  fi
  if ((finished > $1)); then
    rm -f "$stalled"
  elif [[ -e $stalled ]]; then
    fail 70 "no prompt was finished within the time limit, twice: raise time_limit in the profile" \
      "($finished prompts are recorded)"
  else
    : >"$stalled"
  fi
  note interrupted 75 "stopped before the time limit and requeued; $finished prompts are recorded"
  say "requeued; $finished prompts are recorded"
  scontrol requeue "$job" || fail 70 "this cluster refuses to requeue: shardrift submit goes on from $finished prompts"
  sleep 60 # Slurm ends this script
  exit 75
}

run_task() {
  local code=0 before size
  say "$name: job $job on ${SLURM_JOB_NODELIST:-$HOSTNAME}, start $((${SLURM_RESTART_COUNT:-0} + 1))"
  note running ''
  prepare
  check_disk
  check_gpus
  note running ''
  before=$(finished_prompts)
  [[ -z $stopping ]] || go_on_later "$before"
  size=$(log_size)
  run_ranks
  # srun answers 0 also where its step never began: the record says that it is done.
  if ((code == 0)) && [[ -f $record ]]; then
    note 'done' 0
    say "$name: done"
    return
  fi
  # 138: SIGUSR1 came before the worker was ready for it. 0: before there was a step.
  if [[ -n $stopping ]] && ((code == 75 || code == 138 || code == 0)); then go_on_later "$before"; fi
  if ((code == 75)); then
    note interrupted 75 "stopped by a signal; $(finished_prompts) prompts are recorded"
    exit 75
  fi
  fail "$((code == 0 ? 70 : code))" "$(why "$code" "$size")"
}

# -- the analysis --------------------------------------------------------------------------------------------
# Runs whatever became of the tasks. `check` refuses records of different devices; `command` says which are missing.
run_analysis() {
  local code=0 size
  say "analysis: job $job"
  note running ''
  set_up
  size=$(log_size)
  "${check[@]}" && "${command[@]}" || code=$?
  case $code in
    0) note 'done' 0 ;;
    2) note 'done' 2 "without the runs that have no record" ;;
    *) fail "$code" "$(why "$code" "$size")" ;;
  esac
}
