/* SPDX-License-Identifier: MIT */
/* What a task may ask and say about itself. */
#include "base/clock.h"
#include "base/error.h"
#include "heap/heap.h"
#include "pool/run.h"
#include "process/self.h"

#include <tine/pool.h>

#include <stdarg.h>
#include <stdio.h>

int tine_task_fail(int code, const char *format, ...)
{
	tini_runner *runner = tini_runner_current();
	va_list args;

	if (code == 0 || tini_run_code(code) != code)
		code = TINE_ETASK;
	if (!runner || !format)
		return code;
	va_start(args, format);
	vsnprintf(runner->slot->text, sizeof runner->slot->text, format, args);
	va_end(args);
	for (char *c = runner->slot->text; *c; c++)
		if (*c == '\n' || *c == '\r')
			*c = ' '; /* a story is one line */
	return code;
}

void *tine_task_context(void)
{
	tini_runner *runner = tini_runner_current();

	if (!runner)
		return NULL;
	return runner->job ? runner->job->context : runner->pool->context;
}

size_t tine_task_index(void)
{
	tini_runner *runner = tini_runner_current();

	return runner && runner->job ? runner->index : 0;
}

int tine_task_attempt(void)
{
	tini_runner *runner = tini_runner_current();

	return runner && runner->job ? (int)atomic_load(&runner->slot->tries) + 1 : 0;
}

bool tine_task_cancelled(void)
{
	tini_runner *runner = tini_runner_current();

	if (!runner || !runner->job)
		return false;
	if (atomic_load(&runner->job->abort) != 0)
		return true;
	if (!runner->cooperative)
		return false;
	int64_t now = tini_clock_now(), timeout = runner->job->timeout;
	return (timeout > 0 && now - runner->started > timeout) || now >= runner->job->deadline ||
	       (runner->job->cancel && tine_cancel_requested(runner->job->cancel));
}

int tine_task_worker(void)
{
	tini_runner *runner = tini_runner_current();

	return runner ? (int)runner->owner : -1;
}

void *tine_result_alloc(size_t size)
{
	tini_runner *runner = tini_runner_current();

	if (!runner || !runner->job || runner->self != tini_self_id())
		return TINI_FAIL_NULL(
			TINE_ESTATE,
			"tine_result_alloc: not inside a task (tine_shared_alloc works anywhere)");
	tini_result *result = tini_heap_alloc(sizeof *result);
	if (!result)
		return NULL;
	result->block = tine_shared_alloc(size, .zero = true);
	if (!result->block) {
		tini_heap_free(result);
		return NULL;
	}
	result->next = atomic_load(&runner->slot->results);
	while (!atomic_compare_exchange_weak(&runner->slot->results, &result->next, result))
		continue; /* another thread of the same item */
	return result->block;
}
