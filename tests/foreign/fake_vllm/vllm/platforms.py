"""vLLM's, of a CPU."""

from types import SimpleNamespace

current_platform = SimpleNamespace(device_type="cpu")
