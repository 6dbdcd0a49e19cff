# shellcheck shell=bash
# Helpers that the scripts beside this file share. Sourced, never run.
# Every script runs from the root of the checkout, whatever folder it was called from.
CALLED_FROM=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# -- messages: "[ 12s] text", seconds since the script began --------------------------------------------------
say() { printf '[%3ds] %s\n' "$SECONDS" "$*"; }
warn() { printf '[%3ds] warning: %s\n' "$SECONDS" "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 70
}

# step TITLE COMMAND…: runs the command between a heading and a line with its time.
step() {
  local title=$1 begin=$SECONDS
  shift
  printf '\n'
  say "== $title"
  "$@"
  say "   done in $((SECONDS - begin))s: $title"
}

# quietly LOG COMMAND…: output into LOG; shown, its end only, when the command fails.
quietly() {
  local log=$1 code=0
  shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 || code=$?
  if ((code != 0)); then
    tail -n 40 "$log" >&2
    printf 'error: exit code %d from: %s\n       whole output: %s\n' "$code" "$*" "$log" >&2
  fi
  return "$code"
}

# -- the machine ---------------------------------------------------------------------------------------------
have() { command -v "$1" >/dev/null 2>&1; }

# The CUDA compiler; CUDA packages often leave it off the PATH.
find_nvcc() {
  command -v nvcc 2>/dev/null && return
  [[ -x /usr/local/cuda/bin/nvcc ]] && echo /usr/local/cuda/bin/nvcc
}

# True where the CUDA path can be compiled: nvcc and NCCL's header.
have_cuda_toolkit() {
  local nvcc
  nvcc=$(find_nvcc) || return 1
  nvcc=$(readlink -f "$nvcc")
  local folder
  for folder in "${NCCL_HOME:-/usr}/include" "${nvcc%/bin/nvcc}/include" /usr/include /usr/local/include \
    /usr/local/cuda/include; do
    [[ -f $folder/nccl.h ]] && return
  done
  return 1
}

# How many GPUs a program can use now (0 without a driver).
gpu_count() {
  local count=0
  if have nvidia-smi; then
    count=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU') || count=0
  fi
  echo "$count"
}

# cuda where it can be built and used, cpu elsewhere.
default_preset() {
  if have_cuda_toolkit && (($(gpu_count) > 0)); then echo cuda; else echo cpu; fi
}

# nproc alone would answer OMP_NUM_THREADS.
core_count() { env -u OMP_NUM_THREADS nproc; }

# Compiling a file against libtorch takes up to 3 GB.
build_jobs() {
  local cores memory
  cores=$(core_count)
  memory=$(awk '/^MemAvailable/ {print int($2 / 3000000)}' /proc/meminfo)
  ((memory < 1)) && memory=1
  echo "${SHARDRIFT_JOBS:-$((cores < memory ? cores : memory))}"
}

# -- Python --------------------------------------------------------------------------------------------------
VENV=$PWD/.venv

# The interpreter that set-up scripts use: the checkout's own environment, else the machine's.
# .carry/python holds pure-Python packages on machines that reach no registry (scripts/carry).
project_python() {
  if [[ -x $VENV/bin/python ]]; then echo "$VENV/bin/python"; else command -v python3; fi
}
# run_python NAME ARGUMENT…: scripts/python/NAME, in the folder the user called from (relative paths are theirs).
run_python() {
  local python script=$PWD/scripts/python/$1
  shift
  python=$(project_python) || die "python3 not found: run scripts/setup first"
  (
    export PYTHONPATH=$PWD/.carry/python${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
    cd "$CALLED_FROM" && exec "$python" "$script" "$@"
  )
}

# -- MPI -----------------------------------------------------------------------------------------------------
# As cmake/Test.cmake: root may run it (containers), more ranks than cores is normal, waiting ranks yield.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
# One thread a rank: the bits of a CPU run must not depend on how many cores are free (docs/architecture.md: what must be bit-equal).
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# NVLink multicast sums in an order that is no binary tree and cannot be predicted; our scripts keep it off.
export NCCL_NVLS_ENABLE=${NCCL_NVLS_ENABLE:-0}
