// SHARDRIFT_CLONES before a function: compiled for AVX-512 and AVX2 too, chosen at start. The clones have no
// fused multiply-add and the loops fixed lanes, so all give the same bits.
#pragma once
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define SHARDRIFT_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SHARDRIFT_CLONES
#endif
