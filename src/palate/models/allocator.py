"""The C allocator told to keep what training frees and asks for again a moment later.

By default glibc maps every tensor above some size anew and gives it back when it is freed; each
step then pays for the page faults of all its temporaries.
"""

import ctypes

# Of glibc's malloc.h.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 2**31 - 1
MAPPED_BYTES = 2**30


def keep_freed_memory() -> bool:
    """For the rest of the process: tensors come from the heap, which keeps up to 2 GB when freed.

    For a program of our own; a library has no business with its host's allocator.

    Returns:
        False where the C library has no such setting (it is glibc's).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(MMAP_THRESHOLD, MAPPED_BYTES) and mallopt(TRIM_THRESHOLD, KEPT_BYTES))
