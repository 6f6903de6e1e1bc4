/* SPDX-License-Identifier: MIT */
/* What a spinning thread tells the CPU. */
#ifndef TINI_BASE_RELAX_H
#define TINI_BASE_RELAX_H

/* This is a spin. */
static inline void tini_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* The line at p is about to be changed: fetch it for that at once, instead of first to read. */
static inline void tini_prefetch_to_write(const void *p)
{
#if defined(__x86_64__)
	/* Without -mprfchw the builtin would only fetch to read; old CPUs take it as no operation. */
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

#endif
