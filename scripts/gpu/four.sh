# shellcheck shell=bash
# Stages four-sums and four-runs: what only three GPUs and more can show. Sourced by scripts/gpu-check.

# name, what makes it (scripts/make-model, or SmolLM2)
FOUR_MODELS=(
  "smollm2"
  "7b --preset 7b"
  "qwen3-8b --preset qwen3-8b"
  "mixtral-small --preset mixtral-small"
)
[[ $DEVICE == cuda ]] || FOUR_MODELS=(  # a rehearsal
  "rehearsal --max-positions 2048"
  "rehearsal-mixtral --architecture mixtral --max-positions 2048"
)
FOUR_VARIANTS=("bfloat16" "float16" "float32" "bfloat16 --quantize int8" "bfloat16 --quantize int4")

# model_folder NAME FLAGS…: makes it where it is not there yet, and says where it is.
model_folder() {
  local name=$1
  shift
  if [[ $name == smollm2 ]]; then
    get_smollm2 >&2
    echo "$SMOLLM2"
    return
  fi
  [[ -f models/$name/config.json ]] || scripts/make-model "models/$name" "$@" --generator "$([[ $DEVICE == cuda ]] && echo cuda || echo numpy)" >&2
  echo "models/$name"
}

# one_hash LOG PROCESSES FLAGS…: a run's hash, or "failed".
one_hash() {
  local log=$1 processes=$2
  shift 2
  if logged "$log" scripts/mpirun -n "$processes" build/bin/shardrift-run run --device "$DEVICE" --max-new-tokens 65 --ignore-eos \
    --quiet --overwrite --record top "$@"; then
    field logits_sha256 "$(grep '^result ' "$LOGS/$log" | tail -n 1)"
  else
    echo failed
  fi
}

# real_and_predicted MODEL FOLDER RANKS VARIANT…: ranks of their own and one device that predicts them, for every all-reduce; then
# a fold in another order, which must have other bits than any of them.
real_and_predicted() {
  local model=$1 folder=$2 ranks=$3 dtype=$4 collective real predicted verdict failed=0 accumulate=() seen=()
  shift 4
  local log=predict-$model-$ranks-$dtype${*:+-${*: -1}}.log profile
  local run=(--model "$folder" --prompts "$RUNS/$model-lengths.jsonl" --dtype "$dtype" "$@")
  for collective in library one-shot two-shot; do
    accumulate=()
    profile=$RUNS/nccl-$ranks.json
    if [[ $collective != library ]]; then
      profile=experiments/profiles/$collective-${ranks}ranks.json
      [[ $dtype == float32 ]] || accumulate=(--accumulate float32)
    fi
    real=$(one_hash "$log" "$ranks" "${run[@]}" --output "$RUNS/$log-real.h5" --tensor-parallel "$ranks" --collective "$collective")
    predicted=$(one_hash "$log" 1 "${run[@]}" --output "$RUNS/$log-predicted.h5" --shards "$ranks" --reduction profile \
      --collective-profile "$profile" "${accumulate[@]}")
    verdict="same bits"
    [[ $real == "$predicted" && $real != failed ]] || verdict="DIFFERENT BITS" failed=1
    seen+=("$real")
    printf '%-14s %-24s %d ranks %-9s %s  one predicts %s  %s\n' "$model" "$dtype $*" "$ranks" "$collective" "$real" \
      "$predicted" "$verdict" | tee -a "$LOGS/prediction.txt"
  done
  # Two ranks have one order.
  if ((ranks > 2)); then
    predicted=$(one_hash "$log" 1 "${run[@]}" --output "$RUNS/$log-control.h5" --shards "$ranks" --reduction chain)
    verdict="other bits, as it must"
    [[ $predicted != failed && " ${seen[*]} " != *" $predicted "* ]] || verdict="THE CONTROL HAS THE SAME BITS" failed=1
    printf '%-14s %-24s %d shards in another order: %s  %s\n' "$model" "$dtype $*" "$ranks" "$predicted" "$verdict" |
      tee -a "$LOGS/prediction.txt"
  fi
  rm -f "$RUNS/$log"-*.h5
  return "$failed"
}

# All variants of all models, those of one model beside each other: they share the GPUs, which changes no bits.
predict_all() {
  local ranks=$1 model variant name folder jobs job failed=0
  for model in "${FOUR_MODELS[@]}"; do
    name=${model%% *}
    # shellcheck disable=SC2086 # flags are words
    folder=$(model_folder $model) || { failed=1 && continue; }
    write_length_prompts "$(vocabulary_of "$folder")" >"$RUNS/$name-lengths.jsonl"
    jobs=()
    for variant in "${FOUR_VARIANTS[@]}"; do
      # shellcheck disable=SC2086 # flags are words
      real_and_predicted "$name" "$folder" "$ranks" $variant &
      jobs+=($!)
    done
    for job in "${jobs[@]}"; do wait "$job" || failed=1; done
  done
  return "$failed"
}

vocabulary_of() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["vocab_size"])' "$1/config.json"; }

# ended_rank SIGNAL: ranks of a run in decode, of which the last gets SIGNAL: how long until all have ended, and what was said.
ended_rank() {
  local signal=$1 ranks=$2 code=0 begin log=$LOGS/ended-$1.txt victim=
  rm -rf "$RUNS"/ended.h5*
  scripts/mpirun -n "$ranks" build/bin/shardrift-run run --model "$SMOLLM2" --prompts experiments/demo-prompts.jsonl --device "$DEVICE" \
    --output "$RUNS/ended.h5" --overwrite --tensor-parallel "$ranks" --max-new-tokens 4000 --ignore-eos --stall-timeout 10 \
    >"$log" 2>&1 &
  local job=$!
  # A part of a megabyte has rows of tokens.
  until [[ -n $(find "$RUNS/ended.h5.parts" -size +1M 2>/dev/null) ]] || ! kill -0 "$job" 2>/dev/null; do sleep 0.1; done
  victim=$(pgrep -n -P "$job" -x shardrift-run) || true
  begin=$(date +%s.%N)
  [[ -z $victim ]] || kill -s "$signal" "$victim"
  wait "$job" || code=$?
  printf 'SIG%s to one of %d ranks: all ended after %.1f s, exit %d: %s\n' "$signal" "$ranks" \
    "$(awk -v begin="$begin" -v end="$(date +%s.%N)" 'BEGIN { print end - begin }')" "$code" "$(grep -m 1 '^shardrift-run: ' "$log" || tail -n 1 "$log")" | tee -a "$LOGS/ended.txt"
  [[ $signal != STOP || -z $victim ]] || kill -s KILL "$victim" 2>/dev/null || true
  ((code != 0))
}

stage_four_sums() {
  local gpus ranks failed=0 signal
  gpus=$(ranks_here)
  ((gpus >= 3)) || die "stage four-sums is for three GPUs and more; here are $gpus: see stages maps, predict and engines"
  if [[ $DEVICE == cuda ]]; then
    stage_maps || failed=1
    stage_engines || failed=1
  else
    cp "experiments/profiles/openmpi-4.1.4-${gpus}ranks.json" "$RUNS/nccl-$gpus.json"
  fi
  for ((ranks = gpus; ranks >= 3; --ranks)); do
    [[ -f experiments/profiles/one-shot-${ranks}ranks.json ]] || continue
    predict_all "$ranks" || failed=1
  done
  for signal in KILL STOP; do ended_rank "$signal" "$gpus" || failed=1; done
  return "$failed"
}

stage_four_runs() {
  local gpus failed=0 ranks
  gpus=$(gpu_count)
  ((gpus >= 4)) || die "stage four-runs is for four GPUs and more; here are $gpus: see stages speed and study"
  stage_speed || failed=1
  for ((ranks = 4; ranks <= gpus; ranks *= 2)); do
    bench_row "tp$ranks-one-shot" "$ranks" --tensor-parallel "$ranks" --collective one-shot || failed=1
    bench_row "tp$ranks-library" "$ranks" --tensor-parallel "$ranks" || failed=1
    bench_row "pp$ranks-in-flight-$ranks" "$ranks" --pipeline "$ranks" --in-flight "$ranks" || failed=1
    bench_row "replicas-$ranks" "$ranks" --replicas "$ranks" || failed=1
  done
  model_folder mixtral-small --preset mixtral-small >/dev/null || failed=1
  run_study scale-out --jobs "$gpus" --set max-new-tokens=256 --set batch=8 || failed=1
  # Its page has tokens/s against divergence at 7B.
  write_length_prompts 32000 >"$RUNS/7b-lengths.jsonl"
  run_study scale-out:scale-out-7b --jobs 1 --model "$LLAMA_7B" --prompts "$RUNS/7b-lengths.jsonl" --set max-new-tokens=65 || failed=1
  run_study quantization --jobs "$gpus" || failed=1
  run_study moe-routing --jobs "$gpus" || failed=1
  run_study batch-size --jobs "$gpus" --set max-new-tokens=256 || failed=1
  run_study engines --jobs "$gpus" || failed=1
  return "$failed"
}
