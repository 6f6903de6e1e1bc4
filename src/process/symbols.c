/* SPDX-License-Identifier: MIT */
/*
 * Names for a crash's raw addresses, through libdw, in a process that lives.
 *
 * Workers are forked, so their modules lie where ours do.  One session is kept and made anew when a
 * look-up misses, as modules may have been loaded since.
 */
#include "process/crash.h"

#include "base/os.h"

#include <elfutils/libdwfl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t symbols_lock = PTHREAD_MUTEX_INITIALIZER;
static Dwfl *symbols;
static pid_t symbols_pid;

static Dwfl *load(void)
{
	static const Dwfl_Callbacks callbacks = {.find_elf = dwfl_linux_proc_find_elf,
						 .find_debuginfo = dwfl_standard_find_debuginfo};
	Dwfl *dwfl = dwfl_begin(&callbacks);

	if (dwfl && (dwfl_linux_proc_report(dwfl, getpid()) != 0 ||
		     dwfl_report_end(dwfl, NULL, NULL) != 0)) {
		dwfl_end(dwfl);
		dwfl = NULL;
	}
	return dwfl;
}

/* Under symbols_lock.  A child of fork() must not use its parent's session: it makes its own. */
static Dwfl_Module *module_of(Dwarf_Addr address)
{
	Dwfl_Module *module = NULL;

	if (symbols && symbols_pid == getpid())
		module = dwfl_addrmodule(symbols, address);
	if (!module) {
		if (symbols && symbols_pid == getpid())
			dwfl_end(symbols);
		symbols = load();
		symbols_pid = getpid();
		module = symbols ? dwfl_addrmodule(symbols, address) : NULL;
	}
	return module;
}

/* Frames of libc and of the unwinder say nothing about whose fault it was. */
static bool is_system_module(const char *path)
{
	static const char *const names[] = {"libc.so",    "libc-", "libpthread", "ld-linux",
					    "linux-vdso", "[vdso", "libtine"};
	const char *base = path ? strrchr(path, '/') : NULL;

	base = base ? base + 1 : path ? path : "";
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strncmp(base, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static bool tell_frame(const void *frame, bool exact, bool any_module, char *text, size_t size)
{
	Dwarf_Addr address = (Dwarf_Addr)(uintptr_t)frame -
			     (exact ? 0 : 1); /* a return address is after its call */
	Dwfl_Module *module = frame ? module_of(address) : NULL;
	const char *path =
		module ? dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL) : NULL;

	if (!module || (!any_module && is_system_module(path)))
		return false;
	const char *name = dwfl_module_addrname(module, address);
	Dwfl_Line *line = dwfl_module_getsrc(module, address);
	int number = 0;
	const char *file = line ? dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL) : NULL;
	if (!name)
		return false;
	if (file)
		snprintf(text, size, " in %s (%s:%d)", name,
			 strrchr(file, '/') ? strrchr(file, '/') + 1 : file, number);
	else
		snprintf(text, size, " in %s", name);
	return true;
}

static void tell_place(const tini_crash *crash, char *text, size_t size)
{
	/* The innermost frame is where the signal struck, exactly; the others are return addresses.
	 */
	for (int any = 0; any < 2; any++)
		for (int i = 0; i < crash->depth && i < TINI_CRASH_FRAMES; i++)
			if (tell_frame(crash->frames[i], i == 0, any, text, size))
				return;
}

/* An address that is mapped here but was not in the worker is private memory of this process, of
 * after the fork. */
static bool is_private_here(const void *address)
{
	char path[64], line[256];
	unsigned long low, high;
	bool found = false;

	snprintf(path, sizeof path, "/proc/self/maps");
	FILE *maps = fopen(path, "re");
	while (maps && !found && fgets(line, sizeof line, maps))
		found = sscanf(line, "%lx-%lx %*2c%*c%*1[p]", &low, &high) == 2 &&
			(uintptr_t)address >= low && (uintptr_t)address < high;
	if (maps)
		fclose(maps);
	return found;
}

void tini_crash_tell(const tini_crash *crash, char *text, size_t size)
{
	char place[160] = "";

	text[0] = '\0';
	if (atomic_load(&crash->state) != 2)
		return;
	pthread_mutex_lock(&symbols_lock);
	tell_place(crash, place, sizeof place);
	pthread_mutex_unlock(&symbols_lock);
	if (!crash->has_address)
		snprintf(text, size, "%s", place);
	else if (crash->signal == 11 && (uintptr_t)crash->address > 65536 &&
		 is_private_here(crash->address))
		snprintf(text, size,
			 " at address %p, private memory of the host (workers see the shared "
			 "heap)%s",
			 crash->address, place);
	else
		snprintf(text, size, " at address 0x%lx%s",
			 (unsigned long)(uintptr_t)crash->address, place);
}
