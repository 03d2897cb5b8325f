#include "shim.h"

#include <stdlib.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

// Memory above this size comes from the system by itself and goes back to it.
#define SL_OWN_MAPPING (4 << 20)

void sl_bound_memory(int heaps) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, SL_OWN_MAPPING);
    mallopt(M_ARENA_MAX, heaps);
#endif
}
