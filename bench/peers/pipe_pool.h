/* SPDX-License-Identifier: MIT */
/*
 * pipe_pool.h - a pool of forked workers and nothing more than that: a pipe there and a pipe back
 * for each, messages of 16 bytes.  No crash is noticed.
 */
#ifndef BENCH_PIPE_POOL_H
#define BENCH_PIPE_POOL_H

typedef struct pipe_pool pipe_pool;
typedef long pipe_task(long argument);

/* NULL: could not. */
pipe_pool *pipe_pool_open(int workers);

/* task(argument) in a worker: hand in and wait for the result.  For one thread. */
long pipe_pool_apply(pipe_pool *pool, pipe_task *task, long argument);

void pipe_pool_close(pipe_pool *pool);

#endif
