/* SPDX-License-Identifier: MIT */
/*
 * spinner PARENT: keep one core busy until the parent, bench/run, is gone.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int count, char **words)
{
	volatile unsigned long rounds = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (count < 2 || getppid() != atoi(words[1])) /* it was gone before the line above */
		return 1;
	for (;;)
		rounds++;
}
