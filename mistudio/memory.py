"""Memory of this process."""

import ctypes
import gc


def give_back() -> None:
    """Hand what was freed back to the system, after a model was loaded, cut or let go.

    glibc keeps it, some hundred megabytes after the weights of a small model, in case they are wanted again. Other
    systems' libraries have no such call and need none.
    """
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # macOS and musl; Windows has no library of that name
        return
