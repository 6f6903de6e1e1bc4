/* SPDX-License-Identifier: MIT */
/*
 * A pool of forked workers on pipes: the peer that a C programmer would write in an hour.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pipe_pool.h"

enum { MOST = 64 };

typedef struct request {
	pipe_task *task;
	long argument;
} request;

typedef struct response {
	long result;
	long worker;
} response;

typedef struct worker {
	pid_t pid;
	int to, from;
} worker;

struct pipe_pool {
	int count;
	int idle_count;
	int idle[MOST]; /* the one that was used last on top: its caches are warm */
	worker workers[MOST];
};

/* Messages are smaller than PIPE_BUF: they come whole. */
static void work(int number, int in, int out)
{
	request r;

	while (read(in, &r, sizeof(r)) == sizeof(r)) {
		response answer = {r.task(r.argument), number};

		if (write(out, &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(0);
}

static int start(pipe_pool *pool, int number)
{
	worker *w = &pool->workers[number];
	int there[2], back[2];

	if (pipe2(there, O_CLOEXEC) || pipe2(back, O_CLOEXEC))
		return -1;
	w->pid = fork();
	if (w->pid == 0) {
		for (int i = 0; i < number; i++) { /* or the others never see their end */
			close(pool->workers[i].to);
			close(pool->workers[i].from);
		}
		close(there[1]);
		close(back[0]);
		work(number, there[0], back[1]);
	}
	close(there[0]);
	close(back[1]);
	w->to = there[1];
	w->from = back[0];
	return w->pid < 0 ? -1 : 0;
}

pipe_pool *pipe_pool_open(int workers)
{
	pipe_pool *pool = calloc(1, sizeof(*pool));

	if (!pool || workers > MOST)
		return NULL;
	fflush(NULL);
	for (int i = 0; i < workers; i++) {
		if (start(pool, i))
			return NULL;
		pool->count++;
		pool->idle[pool->idle_count++] = i;
	}
	return pool;
}

long pipe_pool_apply(pipe_pool *pool, pipe_task *task, long argument)
{
	worker *w = &pool->workers[pool->idle[--pool->idle_count]];
	request r = {task, argument};
	response answer;

	if (write(w->to, &r, sizeof(r)) != sizeof(r) ||
	    read(w->from, &answer, sizeof(answer)) != sizeof(answer)) {
		perror("pipe_pool");
		exit(1);
	}
	pool->idle[pool->idle_count++] = (int)answer.worker;
	return answer.result;
}

void pipe_pool_close(pipe_pool *pool)
{
	for (int i = 0; i < pool->count; i++) {
		close(pool->workers[i].to);
		waitpid(pool->workers[i].pid, NULL, 0);
		close(pool->workers[i].from);
	}
	free(pool);
}
