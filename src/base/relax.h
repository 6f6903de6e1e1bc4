/* SPDX-License-Identifier: MIT */
/* Tell the CPU that this is a spin. */
#ifndef TINI_BASE_RELAX_H
#define TINI_BASE_RELAX_H

static inline void tini_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

#endif
