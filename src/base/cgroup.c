/* SPDX-License-Identifier: MIT */
/*
 * Where the control group of this process is.
 *
 * /proc/self/mountinfo tells the mounts: which part of the tree of groups ("root") is seen at which
 * folder. /proc/self/cgroup tells the group's path in the tree.  Folder = mount point + (path -
 * root).  In a container the path may lie outside what is mounted (it is told relative to the group
 * namespace, the root is not, or the other way round): then the mount's own root is the nearest
 * group that can be seen.
 */
#include "base/cgroup.h"

#include <stdio.h>
#include <string.h>

#include "base/lines.h"

/* ---- words of the two files */

/* The next word up to `separator`, which is overwritten; *text is moved behind it, NULL at the end.
 */
static char *next_word(char **text, char separator)
{
	char *word = *text;
	char *end = word ? strchr(word, separator) : NULL;

	if (end)
		*end++ = '\0';
	*text = end;
	return word;
}

static bool list_has(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = list; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (!strncmp(at, word, length) && (at[length] == ',' || at[length] == '\0'))
			return true;
	}
	return false;
}

static bool is_octal(const char *digits)
{
	for (int i = 0; i < 3; i++)
		if (digits[i] < '0' || digits[i] > '7')
			return false;
	return true;
}

/* mountinfo writes blanks, tabs, newlines and backslashes as \040. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (*from == '\\' && is_octal(from + 1)) {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* ---- mounts */

typedef struct mount {
	char *root, *point, *type,
		*options; /* options: the file system's, with a v1 tree's controllers */
} mount;

static bool parse_mount(char *line, mount *m)
{
	char *tail = strstr(line, " - ");

	if (!tail)
		return false;
	*tail = '\0';
	tail += 3;
	for (int i = 0; i < 3; i++) /* ids and device */
		next_word(&line, ' ');
	m->root = next_word(&line, ' ');
	m->point = next_word(&line, ' ');
	m->type = next_word(&tail, ' ');
	next_word(&tail, ' '); /* source */
	m->options = tail;
	if (!m->root || !m->point || !m->options)
		return false;
	unescape(m->root);
	unescape(m->point);
	return true;
}

static bool is_mount_of(const mount *m, const char *controller)
{
	if (!controller)
		return !strcmp(m->type, "cgroup2");
	return !strcmp(m->type, "cgroup") && list_has(m->options, controller);
}

/* What of `path` lies below `root`, "" for the root itself; NULL: it lies elsewhere. */
static const char *below(const char *path, const char *root)
{
	size_t length = strcmp(root, "/") ? strlen(root) : 0;

	if (strncmp(path, root, length) || (path[length] != '/' && path[length] != '\0'))
		return NULL;
	const char *rest = path + length;
	if (!strncmp(rest, "/..", 3) && (rest[3] == '/' || rest[3] == '\0'))
		return NULL; /* outside of the group namespace */
	return strcmp(rest, "/") ? rest : "";
}

static bool take(tini_cgroup *group, const char *point, const char *rest)
{
	int length = snprintf(group->folder, sizeof(group->folder), "%s%s", point, rest);

	group->top = strlen(point);
	return length >= 0 && (size_t)length < sizeof(group->folder);
}

/* ---- the group's path */

static bool own_path(const char *root, const char *controller, char *path, size_t size)
{
	tini_lines lines;
	char *line;
	bool found = false;

	if (!tini_lines_open(&lines, root, "/proc/self/cgroup"))
		return false;
	while (!found && (line = tini_lines_next(&lines))) {
		const char *number = next_word(&line, ':'), *list = next_word(&line, ':');
		if (!line || line[0] != '/')
			continue;
		found = controller ? list_has(list, controller) : !strcmp(number, "0") && !*list;
		if (found)
			found = snprintf(path, size, "%s", line) < (int)size;
	}
	tini_lines_close(&lines);
	return found;
}

bool tini_cgroup_find(tini_cgroup *group, const char *root, const char *controller)
{
	char path[PATH_MAX];
	tini_lines lines;
	char *line;
	mount m;
	bool inside = false, found = false;

	group->root = root;
	if (!own_path(root, controller, path, sizeof(path)) ||
	    !tini_lines_open(&lines, root, "/proc/self/mountinfo"))
		return false;
	while (!inside && (line = tini_lines_next(&lines))) {
		if (!parse_mount(line, &m) || !is_mount_of(&m, controller))
			continue;
		const char *rest = below(path, m.root);
		inside = rest != NULL;
		if (inside || !found) /* of mounts that do not show our group the first serves,
					 until one does */
			found = take(group, m.point, inside ? rest : "");
	}
	tini_lines_close(&lines);
	return found;
}

bool tini_cgroup_up(tini_cgroup *group)
{
	char *last = strrchr(group->folder + group->top, '/');

	if (last)
		*last = '\0';
	return last != NULL;
}

/* ---- the group's files */

static bool file_path(const tini_cgroup *group, const char *file, char *path, size_t size)
{
	return snprintf(path, size, "%s/%s", group->folder, file) < (int)size;
}

bool tini_cgroup_read(const tini_cgroup *group, const char *file, char *text, size_t size)
{
	char path[PATH_MAX];
	tini_lines lines;

	if (!file_path(group, file, path, sizeof(path)) ||
	    !tini_lines_open(&lines, group->root, path))
		return false;
	const char *line = tini_lines_next(&lines);
	if (line)
		snprintf(text, size, "%s", line);
	tini_lines_close(&lines);
	return line != NULL;
}

uint64_t tini_cgroup_value(const tini_cgroup *group, const char *file, const char *key)
{
	char path[PATH_MAX];
	uint64_t value;

	if (!file_path(group, file, path, sizeof(path)) ||
	    !tini_lines_value(group->root, path, key, &value))
		return 0;
	return value;
}
