/* SPDX-License-Identifier: MIT */
/* What an iteration of a body takes, learnt from its earlier loops. */
#ifndef TINI_LOOP_COST_H
#define TINI_LOOP_COST_H

#include <stdint.h>

/* ns of one iteration; negative: not known. */
double tini_cost_of(const void *body);

/* `iterations` took so long, all threads together. */
void tini_cost_learn(const void *body, int64_t ns, int64_t iterations);

#endif
