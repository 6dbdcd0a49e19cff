# shellcheck shell=bash
# Stages explain and study. Sourced by scripts/gpu-check.

# The beginnings of one text, at the lengths that stage maps probes.
write_prefix_prompts() {
  local vocabulary=$1 length i
  for length in 1 2 5 17 64 128 256 400 512 700 1024 1400; do
    printf '{"id": "t%d", "tokens": [1' "$length"
    for ((i = 1; i < length; ++i)); do printf ', %d' $((i * 7919 % (vocabulary - 3) + 3)); done
    printf ']}\n'
  done
}

# Needs what stage maps leaves.
stage_explain() {
  get_smollm2
  write_prefix_prompts 49152 >"$RUNS/smollm2-prefixes.jsonl"
  local gpus ranks failed=0
  gpus=$(gpu_count)
  for ((ranks = 2; ranks <= gpus; ++ranks)); do
    build/bin/shardrift explain --run --model "$SMOLLM2" --shards "$ranks" --live --device cuda --dtype bfloat16 \
      --prompts "$RUNS/smollm2-prefixes.jsonl" --collective-profile "$RUNS/nccl-$ranks.json" \
      --output "$RUNS/explain-$ranks" --json "$LOGS/explain-$ranks.json" >"$LOGS/explain-$ranks.txt" || failed=1
    grep -E '^(product|shards|partials|hops|order|prediction|real|residue) ?' "$LOGS/explain-$ranks.txt" | grep -v '\.h5' || true
    build/bin/shardrift explain "$RUNS/explain-$ranks/reference.h5" "$RUNS/explain-$ranks/real.h5" \
      --json "$LOGS/explain-$ranks-growth.json" >"$LOGS/explain-$ranks-growth.txt" || failed=1
  done
  return "$failed"
}

# run_study NAME[:LABEL] FLAG…: one shipped study, its report and figures kept with the logs, under LABEL where it has one.
run_study() {
  local study=${1%%:*} name=${1##*:} code=0 file
  shift
  build/bin/shardrift study "experiments/studies/$study.toml" --device cuda --output "$RUNS/$name" "$@" \
    >"$LOGS/study-$name.txt" 2>&1 || code=$?
  ((code == 2)) && code=0  # what this host has too few GPUs for stands in the verdict
  sed -n '/^compared with/,$p' "$LOGS/study-$name.txt"
  for file in "$RUNS/$name"/{*.json,*.html}; do
    [[ -f $file ]] && cp "$file" "$LOGS/$name-$(basename "$file")"
  done
  return "$code"
}

# The one-liner with every GPU, and again as if there were one: what it predicts must have the bits of the real runs.
one_liner() {
  local where devices jobs code=0 failed=0 plan verdict
  for where in real predicted; do
    devices=$(gpu_count) jobs=2
    [[ $where == predicted ]] && devices=1 jobs=1
    build/bin/shardrift scale-out --model "$SMOLLM2" --to 4 --device cuda --devices "$devices" --jobs "$jobs" \
      --output "$RUNS/one-liner-$where" >"$LOGS/one-liner-$where.txt" 2>&1 || failed=1
    cp "$RUNS/one-liner-$where"/report*.html "$LOGS/one-liner-$where.html" || true
  done
  for plan in tp2 tp3 tp4; do
    code=0
    build/bin/shardrift compare "$RUNS/one-liner-real/$plan.h5" "$RUNS/one-liner-predicted/$plan.h5" --no-cache \
      >"$LOGS/one-liner-$plan.txt" 2>&1 || code=$?
    verdict=$(grep '^verdict' "$LOGS/one-liner-$plan.txt" || echo "exit $code")
    echo "one-liner $plan: real against predicted from the shipped profile: $verdict" | tee -a "$LOGS/one-liner.txt"
    ((code == 0)) || failed=1
  done
  return "$failed"
}

stage_study() {
  get_smollm2
  local failed=0 jobs
  jobs=$(gpu_count)  # of one GPU each, as many at once as there are
  run_study scale-out --jobs "$jobs" --set max-new-tokens=256 --set batch=8 || failed=1
  run_study reduction-order --jobs "$jobs" --set max-new-tokens=256 --set batch=8 || failed=1
  run_study same-gpu-twice --jobs "$jobs" --set max-new-tokens=64 || failed=1
  one_liner || failed=1
  run_study prompt-length --jobs "$jobs" --set batch=4 || failed=1
  run_study batch-size --jobs "$jobs" --set max-new-tokens=256 || failed=1
  return "$failed"
}
