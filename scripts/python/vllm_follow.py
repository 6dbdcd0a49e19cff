"""A logits processor by which vLLM is fed a record's tokens: of a request whose extra_args has them, each step's choice is the
next of them. vLLM's workers import it by name; the logits that vLLM reports (logprobs_mode raw_logits) are those before it."""

from __future__ import annotations

from typing import Any

import torch
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from vllm_engine import FED


class Follow(AdapterLogitsProcessor):
    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(self, params: Any) -> Any:
        fed = (params.extra_args or {}).get(FED)
        if fed is None:
            return None

        def force(output: list[int], logits: torch.Tensor) -> torch.Tensor:
            if len(output) >= len(fed):
                return logits
            forced = torch.full_like(logits, float("-inf"))
            forced[fed[len(output)]] = 0
            return forced

        return force
