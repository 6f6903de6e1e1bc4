/* SPDX-License-Identifier: MIT */
#include "process/modules.h"

#include "heap/heap.h"

#include <link.h>
#include <stddef.h>

static int count_one(struct dl_phdr_info *info, size_t size, void *context)
{
	(void)info;
	(void)size;
	++*(unsigned *)context;
	return 0;
}

typedef struct listing {
	tini_modules *modules;
	unsigned room;
} listing;

static int list_one(struct dl_phdr_info *info, size_t size, void *context)
{
	listing *l = context;

	(void)size;
	l->modules->loads = info->dlpi_adds;
	if (l->modules->count < l->room)
		l->modules->base[l->modules->count++] = info->dlpi_addr;
	return 0;
}

tini_modules *tini_modules_now(void)
{
	unsigned count = 0;

	dl_iterate_phdr(count_one, &count);
	listing l = {.room = count + 8}; /* another thread may load one just now */
	l.modules = tini_heap_alloc(sizeof *l.modules + l.room * sizeof(uintptr_t));
	if (!l.modules)
		return NULL;
	tini_heap_hand_over(l.modules);
	dl_iterate_phdr(list_one, &l);
	return l.modules;
}

typedef struct question {
	const tini_modules *modules;
	uintptr_t address;
	bool known;
} question;

static bool holds(const struct dl_phdr_info *info, uintptr_t address)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t low = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

		if (info->dlpi_phdr[i].p_type == PT_LOAD && address >= low &&
		    address - low < info->dlpi_phdr[i].p_memsz)
			return true;
	}
	return false;
}

static int ask_one(struct dl_phdr_info *info, size_t size, void *context)
{
	question *q = context;

	(void)size;
	if (info->dlpi_adds == q->modules->loads)
		return 1; /* nothing was loaded since */
	if (!holds(info, q->address))
		return 0;
	q->known = false;
	for (unsigned i = 0; i < q->modules->count; i++)
		q->known |= q->modules->base[i] == info->dlpi_addr;
	return 1;
}

bool tini_modules_know(const tini_modules *modules, const void *address)
{
	question q = {modules, (uintptr_t)address, true};

	dl_iterate_phdr(ask_one, &q);
	return q.known;
}
