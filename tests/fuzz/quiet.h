/* SPDX-License-Identifier: MIT */
/* Included before the source of a program that runs inside a fuzzer: its output goes to quiet_out,
 * and its main() has another name. */
#ifndef FREYJAFS_TESTS_FUZZ_QUIET_H
#define FREYJAFS_TESTS_FUZZ_QUIET_H

#include <err.h>
#include <stdio.h>

extern FILE *quiet_out;
int quiet_main(int argc, char *argv[]);

#undef stdout
#undef stderr
#undef printf /* a macro where the library is fortified */
#define stdout	    quiet_out
#define stderr	    quiet_out
#define printf(...) fprintf(quiet_out, __VA_ARGS__)
#define warnx(...)  (fprintf(quiet_out, __VA_ARGS__), fprintf(quiet_out, "\n"))
#define main	    quiet_main

#endif
