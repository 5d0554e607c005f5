/* SPDX-License-Identifier: MIT */
/* Attributes that make the compiler check callers, and the size of an array, for every layer. */
#ifndef FREYJAFS_CODEC_COMPILER_H
#define FREYJAFS_CODEC_COMPILER_H

#define WARN_UNUSED	       __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define ARRAY_SIZE(a)	       (sizeof(a) / sizeof((a)[0]))

#endif
