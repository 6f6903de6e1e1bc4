/* SPDX-License-Identifier: MIT */
/*
 * A reduction whose partial result is more than a sum, and that has the same bits with any number
 * of threads: which partial results are put together depends on the range alone.
 *
 * Python:  np.mean(x), np.var(x); a sum over joblib's results has the bits of its chunks
 *
 * Source: Welford, Technometrics 4, 1962 (one more number); Chan, Golub and LeVeque, 1979 (two
 * halves).
 */
#include <stdio.h>
#include <string.h>
#include <tine.h>

enum { COUNT = 1000000 };

typedef struct moments {
	double count, mean, squares; /* squares: sum of (x - mean)^2 */
} moments;

/* Far from 0 beside their spread: a sum of x * x would lose it. */
static double number(size_t i)
{
	return 1e6 + (double)(uint32_t)(i * 2654435761u) / 4294967296.0;
}

static void add(size_t begin, size_t end, void *context, void *partial)
{
	moments *m = partial;

	(void)context;
	for (size_t i = begin; i < end; i++) {
		double x = number(i), off = x - m->mean;

		m->count += 1;
		m->mean += off / m->count;
		m->squares += off * (x - m->mean);
	}
}

static void combine(void *into, const void *from, void *context)
{
	moments *a = into;
	const moments *b = from;
	double count = a->count + b->count, off = b->mean - a->mean;

	(void)context;
	a->mean += off * (b->count / count);
	a->squares += b->squares + off * off * (a->count * (b->count / count));
	a->count = count;
}

int main(void)
{
	const int threads[] = {1, 2, 3, 8};
	moments first, m;

	for (int k = 0; k < 4; k++) {
		if (tine_reduce(0, COUNT, add, combine, NULL, &m, sizeof(m),
				.threads = threads[k]) != 0)
			return fprintf(stderr, "%s\n", tine_last_error()), 1;
		if (k == 0)
			first = m;
		printf("%d thread%s: mean %.9f, variance %.9f, %s\n", threads[k], k ? "s" : "",
		       m.mean, m.squares / m.count,
		       memcmp(&m, &first, sizeof(m)) == 0 ? "the same bits" : "OTHER BITS");
	}
	return 0;
}
