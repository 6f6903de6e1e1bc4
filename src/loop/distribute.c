/* SPDX-License-Identifier: MIT */
#include <tine/loop.h>

tine_range tine_distribute(size_t count, size_t parts, size_t index)
{
	if (index >= parts)
		return (tine_range){0, 0};
	size_t each = count / parts, longer = count % parts; /* so many parts have one more */
	size_t begin = index * each + (index < longer ? index : longer);
	return (tine_range){begin, begin + each + (index < longer)};
}
