# shellcheck shell=bash
# Stages maps and predict: in which order sums add, and one GPU for several. Sourced by scripts/gpu-check.

# probe_maps RANKS TOKENS DTYPES FLAG…: the maps of the live all-reduce, each checked against the order model.
probe_maps() {
  local ranks=$1 tokens=$2 dtypes=$3 code=0
  shift 3
  logged probe.log scripts/mpirun -n "$ranks" build/bin/shardrift-run probe --device cuda --tokens "$tokens" \
    --hidden 576,4096,8192 --dtype "$dtypes" --segments 4 --check "$@" || code=$?
  printf '%d GPUs, %s: exit %d, %s\n' "$ranks" "${*:-free choice}" "$code" \
    "$(grep '^result ' "$LOGS/probe.log" | tail -n 1)" | tee -a "$LOGS/maps.txt"
  # 2: a tree of three is in nobody's model
  ((code == 0 || code == 2))
}

# NCCL's own choice, kept as a profile; then every algorithm and protocol pinned.
stage_maps() {
  local gpus ranks algorithm protocol failed=0
  gpus=$(gpu_count)
  build/tests/test_cuda_backend --gtest_filter='CudaFold.*' >"$LOGS/fold.log" 2>&1 || failed=1
  grep -E 'GB/s|FAILED|PASSED' "$LOGS/fold.log" || true
  for ((ranks = 2; ranks <= gpus; ++ranks)); do
    probe_maps "$ranks" 1,2,5,17,64,128,256,400,512,700,1024,1400,2048 float32,float16,bfloat16 \
      --save-profile "$RUNS/nccl-$ranks.json" || failed=1
    # The decode passes of real runs are captured, with messages of one row.
    probe_maps "$ranks" 1,17 float32,float16,bfloat16 --launch captured --save-profile "$RUNS/nccl-$ranks.json" || failed=1
    cp "$RUNS/nccl-$ranks.json" "$LOGS/" || true
    for protocol in ll ll128 simple; do
      for algorithm in ring tree; do
        [[ $algorithm-$protocol == tree-ll128 ]] && continue  # no machine here chose it
        probe_maps "$ranks" 1,17,256,1400,2048 bfloat16 --nccl-algorithm "$algorithm" --nccl-protocol "$protocol" ||
          failed=1
      done
    done
    probe_maps "$ranks" 17,1400 bfloat16 --nccl-channels 4 || failed=1
  done
  return "$failed"
}

# predict MODEL TAG RANKS DTYPE PROFILE: hashes of real ranks and of one GPU predicting them.
predict() {
  local model=$1 tag=$2 ranks=$3 dtype=$4 profile=$5 name hash=() flags
  for name in real predicted; do
    flags="--tensor-parallel $ranks"
    local processes=$ranks
    if [[ $name == predicted ]]; then
      flags="--shards $ranks --reduction profile --collective-profile $profile"
      processes=1
    fi
    # shellcheck disable=SC2086 # flags are words
    logged "predict-$tag-$dtype.log" scripts/mpirun -n "$processes" build/bin/shardrift-run run --model "$model" \
      --prompts "$RUNS/$tag-lengths.jsonl" --output "$RUNS/$tag-$dtype-$name.h5" --overwrite --device cuda --dtype "$dtype" \
      --max-new-tokens 65 --ignore-eos --quiet $flags
    hash+=("$(field logits_sha256 "$(grep '^result ' "$LOGS/predict-$tag-$dtype.log" | tail -n 1)")")
  done
  local verdict="DIFFERENT BITS"
  [[ ${hash[0]} == "${hash[1]}" ]] && verdict="same bits"
  printf '%-8s %-9s %d GPUs %s  one GPU predicts %s  %s\n' "$tag" "$dtype" "$ranks" "${hash[0]}" "${hash[1]}" "$verdict" |
    tee -a "$LOGS/prediction.txt"
  [[ $verdict == "same bits" ]]
}

# The dtypes of one model beside each other: they share the GPUs, which changes no bits, and the table has no times.
predict_dtypes() {
  local model=$1 tag=$2 ranks=$3 profile=$4 dtype jobs=() job failed=0
  for dtype in bfloat16 float16 float32; do
    predict "$model" "$tag" "$ranks" "$dtype" "$profile" &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job" || failed=1; done
  return "$failed"
}

# One GPU with a probed profile against 2, 3, … real ones; needs what stage maps leaves.
stage_predict() {
  get_smollm2
  make_7b
  write_length_prompts 49152 >"$RUNS/smollm2-lengths.jsonl"
  write_length_prompts 32000 >"$RUNS/7b-lengths.jsonl"
  local gpus ranks failed=0
  gpus=$(gpu_count)
  for ((ranks = gpus; ranks >= 2; --ranks)); do
    predict_dtypes "$SMOLLM2" smollm2 "$ranks" "$RUNS/nccl-$ranks.json" || failed=1
    predict_dtypes "$LLAMA_7B" 7b "$ranks" "$RUNS/nccl-$ranks.json" || failed=1
  done
  return "$failed"
}
