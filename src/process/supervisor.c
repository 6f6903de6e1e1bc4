/* SPDX-License-Identifier: MIT */
#include "process/supervisor.h"

#include "heap/heap.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static int status_of(const siginfo_t *info)
{
	if (info->si_code == CLD_EXITED)
		return info->si_status << 8;
	return info->si_status | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

static void reap(const tini_supervised *table, void *context)
{
	siginfo_t info;

	for (;;) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
			return;
		kill(-info.si_pid,
		     SIGKILL); /* not reaped yet: the group's number cannot be another's */
		tini_heap_actor_died(info.si_pid);
		table->died(context, info.si_pid, status_of(&info));
		waitpid(info.si_pid, NULL, 0);
	}
}

_Noreturn void tini_supervise(const tini_supervised *table, void *context, const tini_watch *watch)
{
	bool child = false, host = true;

	while (host) {
		int64_t next = table->tick(context);

		if (next < 0)
			break;
		host = tini_watch_wait(watch, next, &child);
		if (child)
			reap(table, context);
	}
	table->end(context);
	tini_children_end();
	tini_heap_actor_died(getpid());
	table->ended(context, host);
	_exit(0);
}
