# shellcheck shell=bash
# Stages cost, speed and baseline. Sourced by scripts/gpu-check.

# What S shards on one GPU cost in prefill, against one shard.
prefill_cost() {
  local model=$1 shards
  for shards in 1 2 4 8; do
    logged cost.log build/bin/shardrift-run run --model "$model" --prompts "$RUNS/7b-lengths-1400.jsonl" --output \
      "$RUNS/cost.h5" --overwrite --device cuda --dtype bfloat16 --max-new-tokens 17 --ignore-eos --quiet --record top \
      --shards "$shards" --reduction linear
    printf '7b bfloat16, %d shards on one GPU: %s\n' "$shards" \
      "$(grep '^result ' "$LOGS/cost.log" | tail -n 1 | grep -o '[a-z_]*tokens_per_s=[^ ]*' | tr '\n' ' ')" |
      tee -a "$LOGS/cost.txt"
  done
}

stage_cost() {
  make_7b
  write_length_prompts 32000 >"$RUNS/7b-lengths.jsonl"
  local i
  for i in a b c d; do tail -n 1 "$RUNS/7b-lengths.jsonl" | sed "s/t1400/$i/"; done >"$RUNS/7b-lengths-1400.jsonl"
  prefill_cost "$LLAMA_7B"
}

# bench_row NAME RANKS FLAGS…: a plan's speed after 16 and 1400 tokens, warm; all of it in bench-NAME.json.
bench_row() {
  local name=$1 ranks=$2 code=0 result cells=() key
  shift 2
  logged speed.log mpirun -n "$ranks" build/bin/shardrift-run bench --model "$LLAMA_7B" --device cuda --dtype bfloat16 --quiet \
    --context 16,1400 --prefill 1400 --json "$LOGS/bench-$name.json" "$@" || code=$?
  result=$(grep '^result ' "$LOGS/speed.log" | tail -n 1)
  ((code == 0)) || result=
  for key in decode_16_tokens_per_s decode_16_floor_share decode_16_over_products_and_collectives decode_1400_tokens_per_s \
    decode_1400_over_products_and_collectives prefill_1400_tokens_per_s prefill_1400_over_products_and_collectives; do
    cells+=("$(field "$key" "$result")")
  done
  speed_row "$name" "${cells[@]}"
  return "$code"
}

speed_row() { printf '%-18s %12s %9s %7s %14s %7s %13s %7s\n' "$@" | tee -a "$LOGS/table.txt"; }

# same_bits GROUP NAME RANKS FLAGS…: a run of the prompts of 16 and 1400 tokens; its hash must be that of the group's first.
same_bits() {
  local group=$1 name=$2 ranks=$3 code=0 result hash
  shift 3
  logged speed.log mpirun -n "$ranks" build/bin/shardrift-run run --model "$LLAMA_7B" --prompts "$RUNS/speed.jsonl" --output \
    "$RUNS/speed.h5" --overwrite --device cuda --dtype bfloat16 --max-new-tokens 33 --ignore-eos --quiet "$@" || code=$?
  result=$(grep '^result ' "$LOGS/speed.log" | tail -n 1)
  hash=$(field logits_sha256 "$result")
  ((code == 0)) || hash="failed ($code)"
  [[ ${SPEED_HASHES[$group]:=$hash} == "$hash" ]] || code=1
  printf '%-18s %-10s %s%s\n' "$group" "$name" "$hash" "$( ((code == 0)) || echo '  OTHER BITS')" | tee -a "$LOGS/table.txt"
  return "$code"
}

# One prompt of each length, and two more, for stages.
write_speed_prompts() {
  local length tokens i
  for length in 16 1400 5 33; do
    tokens=8
    for ((i = 1; i < length; ++i)); do tokens+=", $(((7 * i + 5) % 250 + 3))"; done
    printf '{"id": "speed-%s", "tokens": [%s]}\n' "$length" "$tokens"
  done >"$RUNS/speed.jsonl"
}

stage_speed() {
  make_7b
  write_speed_prompts
  declare -gA SPEED_HASHES=()
  local failed=0 collective shards two=0
  (($(gpu_count) >= 2)) && two=1
  speed_row plan "decode 16/s" of-floor over "decode 1400/s" over "prefill/s" over
  bench_row eager 1 --launch eager || failed=1
  bench_row captured 1 --launch captured || failed=1
  bench_row fixed 1 --products fixed --launch captured || failed=1
  for shards in 2 4; do bench_row "s$shards" 1 --shards "$shards" --launch captured || failed=1; done
  if ((two)); then
    for collective in library one-shot two-shot; do
      bench_row "tp2-$collective" 2 --tensor-parallel 2 --collective "$collective" --launch captured || failed=1
    done
    bench_row pp2-in-flight-2 2 --pipeline 2 --in-flight 2 --launch captured || failed=1
  fi
  printf 'over: ms a step / (products alone + collectives alone), all in CUDA graphs\n\n' | tee -a "$LOGS/table.txt"
  same_bits one waits 1 --launch eager --run-ahead off || failed=1
  same_bits one ahead 1 --launch eager || failed=1
  same_bits one captured 1 --launch captured || failed=1
  if ((two)); then
    same_bits one stages 2 --pipeline 2 --launch captured || failed=1
    same_bits one in-flight 2 --pipeline 2 --in-flight 2 --launch captured || failed=1
    for collective in library one-shot two-shot; do
      same_bits "tp2-$collective" eager 2 --tensor-parallel 2 --collective "$collective" --launch eager || failed=1
      same_bits "tp2-$collective" captured 2 --tensor-parallel 2 --collective "$collective" --launch captured || failed=1
    done
  fi
  transformers_speed --prompt-tokens 16,1400 --prefill 1400 --ways compiled
  return "$failed"
}

# transformers_speed FLAGS…: where the Python here has it.
transformers_speed() {
  python3 scripts/baseline-transformers "$LLAMA_7B" --device cuda --dtype bfloat16 "$@" >"$LOGS/transformers.log" 2>&1 ||
    say "transformers could not be run: $(tail -n 1 "$LOGS/transformers.log")"
  grep '^transformers ' "$LOGS/transformers.log" | tee -a "$LOGS/table.txt" || true
}

stage_baseline() {
  make_7b
  bench_row captured 1 --launch captured
  local attention
  for attention in sdpa eager; do transformers_speed --attention "$attention" --prompt-tokens 16,1400; done
}
