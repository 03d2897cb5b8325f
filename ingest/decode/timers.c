#ifdef __linux__
#include <sys/prctl.h>

// Go watches for threads that stay in C: while any goroutine runs it wakes up every 20 us at first, and each call of milliseconds into a
// decoder or a network brings it back to that. With the system's usual slack of 50 us it woke 2,700 times a second beside a 4K camera,
// which took 2.5 % of the processors' time; with this slack it is a third of that. Nothing here goes by less than milliseconds. It holds for the whole process and must be said before Go starts its first thread, from which the others have it;
// it stands here, as what memory.c says, since decoders come with such calls.
#define SL_TIMER_SLACK 1000000UL // ns

__attribute__((constructor)) static void sl_slacken_timers(void) { prctl(PR_SET_TIMERSLACK, SL_TIMER_SLACK, 0, 0, 0); }
#endif
