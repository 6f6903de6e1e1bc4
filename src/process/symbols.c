/* SPDX-License-Identifier: MIT */
/*
 * Names for a crash's raw addresses, through libdw, in a process that lives.
 *
 * Workers are forked, so their modules lie where ours do.  A session holds descriptors, so it lasts
 * for one look-up; the places found are remembered, as a thousand items may crash at the same one.
 */
#include "process/crash.h"

#include "process/self.h"

#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { REMEMBERED = 16, KEY_FRAMES = 4, PLACE = 160 };

typedef struct place_known {
	const void *frames[KEY_FRAMES];
	char text[PLACE];
} place_known;

static pthread_mutex_t symbols_lock = PTHREAD_MUTEX_INITIALIZER;
static place_known known[REMEMBERED];
static unsigned known_next;

/* Another thread may have held the lock at the fork. */
static void reset_lock(void)
{
	pthread_mutex_init(&symbols_lock, NULL);
}

/* As libdw does it, but not for those that this program executes. */
static int find_elf(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
		    char **file, Elf **elf)
{
	int fd = dwfl_linux_proc_find_elf(module, data, name, base, file, elf);

	if (fd >= 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

static Dwfl *open_session(void)
{
	static const Dwfl_Callbacks callbacks = {.find_elf = find_elf,
						 .find_debuginfo = dwfl_standard_find_debuginfo};
	Dwfl *dwfl = dwfl_begin(&callbacks);

	if (dwfl && (dwfl_linux_proc_report(dwfl, getpid()) != 0 ||
		     dwfl_report_end(dwfl, NULL, NULL) != 0)) {
		dwfl_end(dwfl);
		dwfl = NULL;
	}
	return dwfl;
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

/* The line by the units' own ranges: clang writes no table of addresses, which libdw looks in
 * first. */
static const char *line_by_units(Dwfl_Module *module, Dwarf_Addr address, int *number)
{
	Dwarf_Addr bias;

	for (Dwarf_Die *unit = NULL; (unit = dwfl_module_nextcu(module, unit, &bias));) {
		Dwarf_Line *line = dwarf_haspc(unit, address - bias) > 0
					   ? dwarf_getsrc_die(unit, address - bias)
					   : NULL;

		if (line && dwarf_lineno(line, number) == 0)
			return dwarf_linesrc(line, NULL, NULL);
	}
	return NULL;
}

static bool tell_frame(Dwfl *dwfl, const void *frame, bool exact, bool any_module, char *text,
		       size_t size)
{
	Dwarf_Addr address = (Dwarf_Addr)(uintptr_t)frame -
			     (exact ? 0 : 1); /* a return address is after its call */
	Dwfl_Module *module = frame ? dwfl_addrmodule(dwfl, address) : NULL;
	const char *path =
		module ? dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL) : NULL;

	if (!module || (!any_module && is_system_module(path)))
		return false;
	const char *name = dwfl_module_addrname(module, address);
	Dwfl_Line *line = dwfl_module_getsrc(module, address);
	int number = 0;
	const char *file = line ? dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL)
				: line_by_units(module, address, &number);
	if (!name)
		return false;
	int length = (int)strcspn(name, "."); /* without ".cold", ".part.0" and the like */
	if (file)
		snprintf(text, size, " in %.*s (%s:%d)", length, name,
			 strrchr(file, '/') ? strrchr(file, '/') + 1 : file, number);
	else
		snprintf(text, size, " in %.*s", length, name);
	return true;
}

static void look_up(const tini_crash *crash, char *text, size_t size)
{
	Dwfl *dwfl = open_session();
	bool told = false;

	/* The innermost frame is where the signal struck, exactly; the others are return addresses.
	 */
	for (int any = 0; dwfl && any < 2 && !told; any++)
		for (int i = 0; i < crash->depth && i < TINI_CRASH_FRAMES && !told; i++)
			told = tell_frame(dwfl, crash->frames[i], i == 0, any, text, size);
	if (dwfl)
		dwfl_end(dwfl);
}

/* Under symbols_lock. */
static void tell_place(const tini_crash *crash, char *text, size_t size)
{
	for (int i = 0; i < REMEMBERED; i++)
		if (known[i].text[0] &&
		    memcmp(known[i].frames, crash->frames, sizeof known[i].frames) == 0) {
			snprintf(text, size, "%s", known[i].text);
			return;
		}
	look_up(crash, text, size);
	place_known *next = &known[known_next++ % REMEMBERED];
	memcpy(next->frames, crash->frames, sizeof next->frames);
	snprintf(next->text, sizeof next->text, "%s", text);
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
	char place[PLACE] = "";

	text[0] = '\0';
	if (atomic_load(&crash->state) != 2)
		return;
	tini_self_on_fork(reset_lock);
	pthread_mutex_lock(&symbols_lock);
	tell_place(crash, place, sizeof place);
	pthread_mutex_unlock(&symbols_lock);
	if (!crash->has_address)
		snprintf(text, size, "%s", place);
	else if (crash->signal == SIGSEGV && (uintptr_t)crash->address > 65536 &&
		 is_private_here(crash->address))
		snprintf(text, size,
			 " at address %p, private memory of the host (workers see the shared "
			 "heap)%s",
			 crash->address, place);
	else
		snprintf(text, size, " at address 0x%lx%s",
			 (unsigned long)(uintptr_t)crash->address, place);
}
