/* SPDX-License-Identifier: MIT */
/* Times as text: what is written, what is read, what is refused. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "codec/timestamp.h"

#define SEC    UINT64_C(1000000000)
#define NOW_NS (1795521600 * SEC + 7)
#define WRONG  UINT64_MAX

static const struct parse_case {
	const char *text;
	uint64_t want_ns; /* WRONG: refused */
	bool human;	  /* only timestamp_parse_human(); implied by a first character of "@-n" */
} cases[] = {
	{ "1970-01-01T00:00:00Z", 0 },
	{ "1970-01-01T00:00:00.000000001Z", 1 },
	{ "2026-11-24T12:00:00Z", 1795521600 * SEC },
	{ "2026-11-24T12:00:00.5Z", 1795521600 * SEC + SEC / 2 },
	{ "2026-11-24T12:00:00.123456789Z", 1795521600 * SEC + 123456789 },
	{ "2024-02-29T23:59:59.999999999Z", 1709251199 * SEC + 999999999 },
	{ "2000-02-29T00:00:00Z", 951782400 * SEC },
	{ "2100-03-01T00:00:00Z", 4107542400 * SEC },
	{ "2262-04-11T23:47:16.854775807Z", INT64_MAX },
	{ "2262-04-11T23:47:16.854775808Z", WRONG },
	{ "9999-12-31T23:59:59Z", WRONG },
	{ "1969-12-31T23:59:59Z", WRONG },
	{ "2023-02-29T00:00:00Z", WRONG },
	{ "2100-02-29T00:00:00Z", WRONG },
	{ "2026-13-01T00:00:00Z", WRONG },
	{ "2026-00-01T00:00:00Z", WRONG },
	{ "2026-04-31T00:00:00Z", WRONG },
	{ "2026-04-00T00:00:00Z", WRONG },
	{ "2026-11-24T24:00:00Z", WRONG },
	{ "2026-11-24T12:60:00Z", WRONG },
	{ "2026-11-24T12:00:60Z", WRONG },
	{ "2026-11-24T12:00:00.1234567890Z", WRONG },
	{ "2026-11-24T12:00:00.Z", WRONG },
	{ "2026-11-24T12:00:00", WRONG },
	{ "2026-11-24T12:00:00z", WRONG },
	{ "2026-11-24T12:00:00Zx", WRONG },
	{ "2026-11-24 12:00:00Z", WRONG },
	{ "26-11-24T12:00:00Z", WRONG },
	{ "2026-1-24T12:00:00Z", WRONG },
	{ "+026-11-24T12:00:00Z", WRONG },
	{ " 2026-11-24T12:00:00Z", WRONG },
	{ "", WRONG },
	/* for people only */
	{ "2026-11-24", 1795478400 * SEC, true },
	{ "1970-01-01", 0, true },
	{ "2026-02-29", WRONG, true },
	{ "2026-11-2", WRONG, true },
	{ "2026-11-24T12:00:00+01:00", 1795518000 * SEC, true },
	{ "2026-11-24T12:00:00.5-05:30", 1795541400 * SEC + SEC / 2, true },
	{ "2026-11-24T12:00:00.123456789+00:00", 1795521600 * SEC + 123456789, true },
	{ "1970-01-01T01:00:00+01:00", 0, true },
	{ "1970-01-01T00:59:59+01:00", WRONG, true },
	{ "2262-04-11T23:47:16.854775807-00:00", INT64_MAX, true },
	{ "2262-04-11T23:47:16.854775807-00:01", WRONG, true },
	{ "2026-11-24T12:00:00+24:00", WRONG, true },
	{ "2026-11-24T12:00:00+01:60", WRONG, true },
	{ "2026-11-24T12:00:00+0100", WRONG, true },
	{ "2026-11-24T12:00:00+01:00Z", WRONG, true },
	{ "2026-11-24T12:00:00Z+01:00", WRONG, true },
	{ "2026-11-24+01:00", WRONG, true },
	{ "+01:00", WRONG, true },
	{ "yesterday", NOW_NS - 86400 * SEC, true },
	{ "yesterdays", WRONG, true },
	{ "@0", 0 },
	{ "@1795521600", 1795521600 * SEC },
	{ "@1795521600.25", 1795521600 * SEC + SEC / 4 },
	{ "@9223372036.854775807", INT64_MAX },
	{ "@9223372036.854775808", WRONG },
	{ "@99999999999999999999999", WRONG },
	{ "@", WRONG },
	{ "@-1", WRONG },
	{ "@1s", WRONG },
	{ "@1.", WRONG },
	{ "now", NOW_NS },
	{ "nowx", WRONG },
	{ "-0s", NOW_NS },
	{ "-10s", NOW_NS - 10 * SEC },
	{ "-1m", NOW_NS - 60 * SEC },
	{ "-2h", NOW_NS - 7200 * SEC },
	{ "-1d", NOW_NS - 86400 * SEC },
	{ "-1", WRONG },
	{ "-h", WRONG },
	{ "-1w", WRONG },
	{ "-1hh", WRONG },
	{ "--1h", WRONG },
	{ "-1.5h", WRONG },
	{ "+1h", WRONG },
	{ "1h", WRONG },
	{ "-99999999d", WRONG },
	{ "-18446744073709551617s", WRONG },
};

static void test_parse(void **state)
{
	const struct parse_case *c = *state;
	bool human = c->human || (c->text[0] != '\0' && strchr("@-n", c->text[0]) != NULL);
	uint64_t got = 42;

	assert_int_equal(timestamp_parse_human(c->text, NOW_NS, &got), c->want_ns != WRONG);
	assert_true(got == (c->want_ns != WRONG ? c->want_ns : 42));
	got = 42;
	assert_int_equal(timestamp_parse(c->text, &got), c->want_ns != WRONG && !human);
}

/* Against the C library, over all years there are; and back. */
static void test_format(void **state)
{
	char text[TIMESTAMP_BYTES], want[64];
	uint64_t back;

	(void)state;
	for (uint64_t seconds = 0; seconds < (uint64_t)INT64_MAX / SEC; seconds += 1234567) {
		uint64_t fraction = seconds * 977 % SEC;
		time_t t = (time_t)seconds;
		struct tm tm;
		size_t n;

		assert_non_null(gmtime_r(&t, &tm));
		n = strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S", &tm);
		(void)snprintf(want + n, sizeof(want) - n, ".%09luZ", fraction);
		assert_string_equal(timestamp_format(seconds * SEC + fraction, text), want);
		assert_true(timestamp_parse(text, &back));
		assert_true(back == seconds * SEC + fraction);
	}
	/* A log can have later times. */
	assert_string_equal(timestamp_format(UINT64_MAX, text), "2554-07-21T23:34:33.709551615Z");
}

int main(void)
{
	static struct CMUnitTest tests[ARRAY_SIZE(cases) + 1];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		tests[i] = (struct CMUnitTest){ unit_name("parse '%s'", cases[i].text), test_parse,
						NULL, NULL, (void *)(uintptr_t)&cases[i] };
	tests[ARRAY_SIZE(cases)] = (struct CMUnitTest)cmocka_unit_test(test_format);
	return unit_run("timestamp", tests, ARRAY_SIZE(tests));
}
