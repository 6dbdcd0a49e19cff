# shellcheck shell=bash
# Stages smollm2 and 7b: the plans that the GPUs here allow, against one GPU. Sourced by scripts/gpu-check.

# name, ranks, flags; the first is what the others are compared with
PLANS=(
  "one 1"
  "again 1"
  "s2-on-1 1 --shards 2 --reduction linear"
  "tp2 2 --tensor-parallel 2"
  "tp3 3 --tensor-parallel 3"
  "tp4 4 --tensor-parallel 4"
  "s4-on-1 1 --shards 4 --reduction linear"
  "s4-on-2 2 --shards 4 --tensor-parallel 2 --reduction linear"
  "pp2 2 --pipeline 2"
  "pp4 4 --pipeline 4"
  "tp2-pp2 4 --tensor-parallel 2 --pipeline 2"
)

# Token ids, since a random model has no tokenizer: four prompts of 5 to 200 tokens.
write_7b_prompts() {
  local length i
  for length in 5 33 128 200; do
    printf '{"id": "t%d", "tokens": [1' "$length"
    for ((i = 1; i < length; ++i)); do printf ', %d' $(((i * 7919 + length * 104729) % 31997 + 3)); done
    printf ']}\n'
  done
}

# run_plan MODEL PROMPTS TAG DTYPE NAME RANKS FLAGS…: one run; prints a row of the table.
run_plan() {
  local model=$1 prompts=$2 tag=$3 dtype=$4 name=$5 ranks=$6
  shift 6
  local output=$RUNS/$tag-$dtype-$name.h5 code=0
  logged "$tag.log" mpirun -n "$ranks" build/bin/shardrift-run run --model "$model" --prompts "$prompts" \
    --output "$output" --overwrite --device cuda --dtype "$dtype" --max-new-tokens 32 --ignore-eos --quiet "$@" || code=$?
  if ((code != 0)); then
    row "$tag" "$dtype" "$name" "failed ($code)" "" "" ""
    return "$code"
  fi
  local result
  result=$(grep '^result ' "$LOGS/$tag.log" | tail -n 1)
  local bits=reference reference=$RUNS/$tag-$dtype-one.h5
  if [[ $name != one ]]; then
    # 0: the same bits; 1: they differ, which is what is looked for here; from 64 on the comparison itself failed
    build/bin/shardrift compare "$reference" "$output" --json "$RUNS/$tag-$dtype-$name.json" >>"$LOGS/$tag.log" 2>&1 ||
      code=$?
    if ((code > 2)); then bits="compare failed ($code)"; else bits=$(differences "$RUNS/$tag-$dtype-$name.json"); fi
  fi
  row "$tag" "$dtype" "$name" "$(field decode_tokens_per_s "$result")" "$(field GB_per_s "$result")" "$(field logits_sha256 "$result")" "$bits"
}

row() { printf '%-8s %-9s %-8s %12s %8s  %-16s  %s\n' "$@" | tee -a "$LOGS/table.txt"; }

# One phrase out of compare's JSON.
differences() { run_python compare_phrase.py "$PWD/$1"; }

run_plans() {
  local model=$1 prompts=$2 tag=$3 gpus failed=0 dtype plan name ranks flags
  gpus=$(gpu_count)
  row model dtype plan tokens/s GB/s "logits SHA-256" "against one GPU"
  for dtype in bfloat16 float32; do
    for plan in "${PLANS[@]}"; do
      read -r name ranks flags <<<"$plan"
      ((ranks <= gpus)) || continue
      # shellcheck disable=SC2086 # flags are words
      run_plan "$model" "$prompts" "$tag" "$dtype" "$name" "$ranks" $flags || failed=1
    done
  done
  return "$failed"
}

stage_smollm2() {
  get_smollm2
  run_plans "$SMOLLM2" experiments/demo-prompts.jsonl smollm2
}

stage_7b() {
  make_7b
  write_7b_prompts >"$RUNS/7b-prompts.jsonl"
  run_plans "$LLAMA_7B" "$RUNS/7b-prompts.jsonl" 7b
}
