/* SPDX-License-Identifier: MIT */
/*
 * tine.h - parallel computing for C: all public rooms.
 */
#ifndef TINE_H
#define TINE_H

#include <tine/base.h>
#include <tine/heap.h>
#include <tine/loop.h>
#include <tine/pool.h>
#include <tine/process.h>
#include <tine/trace.h>

#endif
