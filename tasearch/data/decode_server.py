"""Imported once, by the server process that the decoding processes are forked from; nothing else may import it.

The server has what decoding needs and neither CUDA nor threads of torch. SIGTERM often reaches the whole process group
of a command; decoding must go on until the command has saved its work. The server ends with the command whatever
happens, because its end of a pipe closes, and the decoding processes end with the server.
"""

from __future__ import annotations

import signal

import tasearch.data.reader  # noqa: F401 - so that no decoding process has to import it

signal.signal(signal.SIGTERM, signal.SIG_IGN)
