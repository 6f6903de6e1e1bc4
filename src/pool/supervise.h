/* SPDX-License-Identifier: MIT */
#ifndef TINI_POOL_SUPERVISE_H
#define TINI_POOL_SUPERVISE_H

#include "pool/shared.h"

/* The main function of a pool's hidden process: `pool` as void *, for tini_hidden_start(). */
void tini_supervise_pool(tini_watch *watch, void *pool);

/* In the host, when the supervisor is gone: wait until its workers are, and end all jobs with
 * `code`. */
void tini_bury_pool(tine_pool *pool, int code);

#endif
