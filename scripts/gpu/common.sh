# shellcheck shell=bash
# What the stages share: logs, models, prompts. Sourced by scripts/gpu-check.

# logged LOG COMMAND…: output appended to LOG; its end shown when the command fails.
logged() {
  local log=$LOGS/$1 code=0
  shift
  printf '\n$ %s\n' "$*" >>"$log"
  "$@" >>"$log" 2>&1 || code=$?
  if ((code != 0)); then
    tail -n 30 "$log" >&2
    printf 'error: exit code %d from: %s\n' "$code" "$*" >&2
  fi
  return "$code"
}

# field NAME LINE: the value in a worker's result line.
field() { sed -n "s/.* $1=\([^ ]*\).*/\1/p" <<<"$2"; }

get_smollm2() {
  if [[ ! -f $SMOLLM2/model.safetensors && -f .carry/model-1 && -f .carry/model-2 ]]; then
    mkdir -p .cache
    cat .carry/model-1 .carry/model-2 >.cache/carried.gguf
    scripts/fetch-model smollm2-135m --from-gguf .cache/carried.gguf
  else
    scripts/fetch-model smollm2-135m
  fi
}

make_7b() {
  [[ -f $LLAMA_7B/config.json ]] || scripts/make-model "$LLAMA_7B" --preset 7b
}

# Token ids of the lengths at which NCCL changes its mind.
write_length_prompts() {
  local vocabulary=$1 length i
  for length in 1 17 256 1400; do
    printf '{"id": "t%d", "tokens": [1' "$length"
    for ((i = 1; i < length; ++i)); do printf ', %d' $(((i * 7919 + length * 104729) % (vocabulary - 3) + 3)); done
    printf ']}\n'
  done
}

# GPUs, or of a rehearsal (below) three ranks.
ranks_here() { if [[ $DEVICE == cuda ]]; then gpu_count; else echo 3; fi; }
