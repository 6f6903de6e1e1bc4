/* SPDX-License-Identifier: MIT */
/* What is refused before any work is given to a pool. */
#ifndef TINI_POOL_CHECK_H
#define TINI_POOL_CHECK_H

#include "pool/shared.h"

typedef struct tini_work { /* what tine_map() and tine_submit() have in common */
	const char *call;
	tine_pool *pool; /* in: NULL is the default pool, which is filled in */
	tine_task *task;
	const void *args;
	size_t count, arg_size;
	double timeout;
	int retries;
	void *context;
} tini_work;

/* 0 or the code, told. */
int tini_work_check(tini_work *work);

/* Fill in what both kinds of job have. */
void tini_work_set(const tini_work *work, tini_job *job, size_t result_size);

/* Note who submits the job: an item of the pool's own, or the host. */
void tini_work_sign(tine_pool *pool, tini_job *job);

/* All of [p, p + size) lies in the shared heap. */
bool tini_all_shared(const void *p, size_t size);

/* The pool of calls that name none: opened on first need.  NULL: told. */
tine_pool *tini_default_pool(void);

#endif
