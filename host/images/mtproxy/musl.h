/* What MTProxy takes from glibc, for Alpine, whose C library lacks it: random numbers with a state of one's own, and the
   stack that it prints before it ends itself (there: none). */
#include <stdlib.h>

struct drand48_data { unsigned short x[3]; };

static inline int srand48_r(long seed, struct drand48_data *d) {
  d->x[0] = 0x330e, d->x[1] = (unsigned short)seed, d->x[2] = (unsigned short)(seed >> 16);
  return 0;
}
static inline int drand48_r(struct drand48_data *d, double *found) { return *found = erand48(d->x), 0; }
static inline int lrand48_r(struct drand48_data *d, long *found) { return *found = nrand48(d->x), 0; }
static inline int mrand48_r(struct drand48_data *d, long *found) { return *found = jrand48(d->x), 0; }

static inline int backtrace(void **addresses, int most) { return (void)addresses, (void)most, 0; }
static inline void backtrace_symbols_fd(void *const *addresses, int count, int file) {
  (void)addresses, (void)count, (void)file;
}
