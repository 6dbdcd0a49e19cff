# shellcheck shell=bash
# Stage engines: the sums that serving engines make, probed from Python, held against what we say of them. Sourced by
# scripts/gpu-check.

# probe_torch RANKS NAME FLAG…: one of torch_sums.py's all-reduces, eager and captured, into the profile NAME-RANKS.json.
probe_torch() {
  local ranks=$1 name=$2 launch code failed=0 flags dtypes=float32,float16,bfloat16
  shift 2
  [[ $name == symm-* ]] && dtypes=float32,bfloat16  # torch's kernels have no other
  rm -f "$RUNS/$name-$ranks.json"
  for launch in eager captured; do
    code=0
    flags=()
    [[ $launch == captured ]] && flags=(--captured)
    # What waits for ever costs no more than this.
    logged engines.log timeout 120 python3 -m torch.distributed.run --nproc-per-node "$ranks" scripts/python/probe_collective.py \
      --backend nccl --all-reduce "$name" --dtype "$dtypes" --quiet --save-profile "$RUNS/$name-$ranks.json" \
      "${flags[@]}" "$@" || code=$?
    printf '%d GPUs, %s, %s: exit %d, %s\n' "$ranks" "$name" "$launch" "$code" \
      "$(grep '^result ' "$LOGS/engines.log" | tail -n 1)" | tee -a "$LOGS/engines.txt"
    ((code == 0)) || failed=1
  done
  cp "$RUNS/$name-$ranks.json" "$LOGS/" || failed=1
  return "$failed"
}

# window_kernels RANKS COUNTS: which of its symmetric kernels NCCL chose, with how many blocks, in its own words.
window_kernels() {
  local ranks=$1 counts=$2
  NCCL_DEBUG=INFO NCCL_DEBUG_SUBSYS=TUNING timeout 120 python3 -m torch.distributed.run --nproc-per-node "$ranks" \
    scripts/python/probe_collective.py --backend nccl --all-reduce nccl-window --dtype float32,bfloat16 --quiet \
    --count "$counts" 2>&1 | grep -o 'AllReduce \[Symmetric\]: .*' | sort -u >"$LOGS/window-kernels-$ranks.txt" || true
  printf '%d GPUs: %d lines of NCCL on its symmetric kernels\n' "$ranks" "$(wc -l <"$LOGS/window-kernels-$ranks.txt")" |
    tee -a "$LOGS/engines.txt"
}

# against RANKS NAME B: what `profile diff` says of that profile and B, a profile or the name of an order. Two orders are
# something that was learnt, and no failure.
against() {
  local ranks=$1 name=$2 other=$3 code=0 text
  text=$(build/bin/shardrift profile diff "$RUNS/$name-$ranks.json" "$other" 2>&1) || code=$?
  printf '\n%s\n' "$text" >>"$LOGS/engines-diff.txt"
  printf '%d GPUs, %s against %s: exit %d\n' "$ranks" "$name" "$(basename "$other")" "$code" | tee -a "$LOGS/engines.txt"
  ((code <= 1))
}

# Our own all-reduces, which add as stated or the probe fails.
probe_ours() {
  local ranks=$1 name launch failed=0
  for name in one-shot two-shot; do
    for launch in eager captured; do
      probe_maps "$ranks" 1,17,256,1400 float32,float16,bfloat16 --collective "$name" --launch "$launch" || failed=1
    done
  done
  return "$failed"
}

stage_engines() {
  local gpus ranks failed=0 name
  local counts=8,4096,8192,32768,69632,1048576,5734400  # whole packs of 16 bytes; long enough for every kernel
  gpus=$(gpu_count)
  for ((ranks = gpus; ranks >= 2; --ranks)); do
    probe_ours "$ranks" || failed=1
    for name in library symm-one-shot symm-two-shot nccl-window; do
      probe_torch "$ranks" "$name" --count "$counts" || failed=1
    done
    window_kernels "$ranks" "$counts"
    [[ -f $RUNS/nccl-$ranks.json ]] && { against "$ranks" library "$RUNS/nccl-$ranks.json" || failed=1; }
    against "$ranks" nccl-window nccl-symmetric || failed=1
    against "$ranks" symm-one-shot linear || failed=1
    [[ -f experiments/profiles/one-shot-${ranks}ranks.json ]] || continue
    against "$ranks" symm-one-shot "experiments/profiles/one-shot-${ranks}ranks.json" || failed=1
    against "$ranks" symm-two-shot "experiments/profiles/two-shot-${ranks}ranks.json" || failed=1
  done
  return "$failed"
}
