"""Teacher tables on the GPU: several stages read the same one, and its file takes longer to read than to train on."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor

_SHARE = 0.1
"""Of a GPU's memory."""


class DeviceTables:
    """The tables used last, on their device; on a CPU none are kept."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._limit = 0.0
        if device.type == "cuda":
            self._limit = _SHARE * torch.cuda.get_device_properties(device).total_memory
        self._tables: OrderedDict[str, tuple[Tensor, torch.cuda.Event]] = OrderedDict()
        self._bytes = 0

    def get(self, key: str) -> Tensor | None:
        """Return a table, to be read on the current stream."""
        if key not in self._tables:
            return None
        self._tables.move_to_end(key)
        table, arrival = self._tables[key]
        stream = torch.cuda.current_stream(self._device)
        stream.wait_event(arrival)
        # Its memory must not be given to another while this stream may still read it.
        table.record_stream(stream)
        return table

    def clear(self) -> None:
        """Keep none; those that a stage reads stay until it has done so."""
        self._tables.clear()
        self._bytes = 0

    def put(self, key: str, table: Tensor) -> Tensor:
        """Keep a table that is on the CPU, and return it as `get` would; on a CPU return it as it is."""
        size = table.numel() * table.element_size()
        if size > self._limit:
            return table
        there = table.pin_memory().to(self._device, non_blocking=True)
        arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrival.record(torch.cuda.current_stream(self._device))
        self._tables[key] = there, arrival
        self._bytes += size
        while self._bytes > self._limit:
            _, (oldest, _) = self._tables.popitem(last=False)
            self._bytes -= oldest.numel() * oldest.element_size()
        return there
