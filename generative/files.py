"""Tensors and a string header in one safetensors file, written whole or not at all; no pickle is ever opened."""

from __future__ import annotations

import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor


def write_tensors(target: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> Path:
    """Write to a temporary file beside ``target``, fsync, rename; a crash leaves the old file or the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    on_cpu = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:  # save_file and mkstemp would make it private whatever the umask
            file.write(save(on_cpu, header))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def read_tensors(source: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The header and the tensors of ``source``; ValueError when it is missing, a pickle, or damaged."""
    if not source.is_file():
        raise ValueError(f"{source} is not a file: give the .safetensors file that save wrote")
    try:
        with safe_open(source, framework="pt") as archive:
            return archive.metadata() or {}, {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    except SafetensorError as error:
        with source.open("rb") as file:
            head = file.read(9)
        # ours begins with the length of its header, which may be 128 too, and a brace
        if (head[:1] == b"\x80" and head[8:] != b"{") or head[:4] == b"PK\x03\x04":
            raise ValueError(
                f"{source} is a pickle or torch.save archive, which can run code when opened: "
                "load reads safetensors only"
            ) from None
        raise ValueError(f"{source} is not a readable safetensors file: {error}") from None
