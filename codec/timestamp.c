/* SPDX-License-Identifier: MIT */
#include "codec/timestamp.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_SEC  UINT64_C(1000000000)
#define SEC_PER_DAY 86400
#define NS_MAX	    ((uint64_t)INT64_MAX)

#define DAY_BYTES    10 /* of 2026-11-24 */
#define OFFSET_BYTES 6	/* of +01:00 */

/* --- to text --- */

const char *timestamp_format(uint64_t ns, char buf[TIMESTAMP_BYTES])
{
	time_t seconds = (time_t)(ns / NS_PER_SEC);
	struct tm tm;
	size_t n;

	(void)gmtime_r(&seconds, &tm);
	n = strftime(buf, TIMESTAMP_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(buf + n, TIMESTAMP_BYTES - n, ".%09uZ", (unsigned int)(ns % NS_PER_SEC));
	return buf;
}

/* --- from text --- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Parses exactly 'count' digits and moves '*text' behind them. */
static bool take_digits(const char **text, unsigned int count, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < count; i++) {
		if (!is_digit((*text)[i]))
			return false;
		value = value * 10 + (uint64_t)((*text)[i] - '0');
	}
	*text += count;
	*ret = value;
	return true;
}

static bool take_char(const char **text, char c)
{
	if (**text != c)
		return false;
	(*text)++;
	return true;
}

/* Parses an optional fraction such as ".123", of one to nine digits. */
static bool take_fraction(const char **text, uint64_t *ret_ns)
{
	uint64_t ns = 0, scale = NS_PER_SEC;

	*ret_ns = 0;
	if (!take_char(text, '.'))
		return true;
	if (!is_digit(**text))
		return false;
	for (; is_digit(**text) && scale > 1; (*text)++) {
		scale /= 10;
		ns += scale * (uint64_t)(**text - '0');
	}
	*ret_ns = ns;
	return !is_digit(**text);
}

static bool join(uint64_t seconds, uint64_t fraction_ns, uint64_t *ret_ns)
{
	uint64_t ns;

	if (__builtin_mul_overflow(seconds, NS_PER_SEC, &ns) ||
	    __builtin_add_overflow(ns, fraction_ns, &ns) || ns > NS_MAX)
		return false;
	*ret_ns = ns;
	return true;
}

/* Parses 'count' digits into a field of struct tm, and the character behind them. */
static bool take_field(const char **text, unsigned int count, char behind, int *ret)
{
	uint64_t value;

	if (!take_digits(text, count, &value) || (behind != '\0' && !take_char(text, behind)))
		return false;
	*ret = (int)value;
	return true;
}

bool timestamp_parse(const char *text, uint64_t *ret_ns)
{
	struct tm tm = { 0 }, normal;
	uint64_t fraction;
	time_t seconds;

	if (!take_field(&text, 4, '-', &tm.tm_year) || !take_field(&text, 2, '-', &tm.tm_mon) ||
	    !take_field(&text, 2, 'T', &tm.tm_mday) || !take_field(&text, 2, ':', &tm.tm_hour) ||
	    !take_field(&text, 2, ':', &tm.tm_min) || !take_field(&text, 2, '\0', &tm.tm_sec) ||
	    !take_fraction(&text, &fraction) || !take_char(&text, 'Z') || *text != '\0')
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	normal = tm;
	seconds = timegm(&normal); /* also normalises it: 31 June becomes 1 July */
	if (seconds < 0 || normal.tm_year != tm.tm_year || normal.tm_mon != tm.tm_mon ||
	    normal.tm_mday != tm.tm_mday || normal.tm_hour != tm.tm_hour ||
	    normal.tm_min != tm.tm_min || normal.tm_sec != tm.tm_sec)
		return false;
	return join((uint64_t)seconds, fraction, ret_ns);
}

/* Parses one or more digits. */
static bool take_number(const char **text, uint64_t *ret)
{
	uint64_t value = 0;

	if (!is_digit(**text))
		return false;
	for (; is_digit(**text); (*text)++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(**text - '0'), &value))
			return false;
	*ret = value;
	return true;
}

/* Parses the "1h" of "-1h". */
static bool parse_before(const char *text, uint64_t now_ns, uint64_t *ret_ns)
{
	static const char units[] = "smhd";
	static const unsigned int seconds[] = { 1, 60, 3600, SEC_PER_DAY };
	uint64_t number, ns;
	const char *unit;

	if (!take_number(&text, &number) || text[0] == '\0' || text[1] != '\0')
		return false;
	unit = memchr(units, text[0], sizeof(seconds) / sizeof(seconds[0]));
	if (unit == NULL || __builtin_mul_overflow(number, seconds[unit - units], &number) ||
	    !join(number, 0, &ns) || ns > now_ns)
		return false;
	*ret_ns = now_ns - ns;
	return true;
}

/* Parses a day, or a time with an offset such as "+01:00" instead of the Z. */
static bool parse_local(const char *text, uint64_t *ret_ns)
{
	size_t bytes = strlen(text);
	char utc[TIMESTAMP_BYTES + DAY_BYTES];
	const char *sign, *p;
	uint64_t hours, minutes, ns, offset_ns;

	if (bytes < DAY_BYTES || bytes >= TIMESTAMP_BYTES + OFFSET_BYTES)
		return false;
	if (bytes == DAY_BYTES) {
		(void)snprintf(utc, sizeof(utc), "%sT00:00:00Z", text);
		return timestamp_parse(utc, ret_ns);
	}
	p = sign = text + bytes - OFFSET_BYTES;
	(void)snprintf(utc, sizeof(utc), "%.*sZ", (int)(sign - text), text);
	if ((!take_char(&p, '+') && !take_char(&p, '-')) || !take_digits(&p, 2, &hours) ||
	    !take_char(&p, ':') || !take_digits(&p, 2, &minutes) || hours > 23 || minutes > 59 ||
	    !timestamp_parse(utc, &ns))
		return false;
	offset_ns = (hours * 60 + minutes) * 60 * NS_PER_SEC;
	if (*sign == '+' ? ns < offset_ns : ns > NS_MAX - offset_ns)
		return false;
	*ret_ns = *sign == '+' ? ns - offset_ns : ns + offset_ns;
	return true;
}

bool timestamp_parse_human(const char *text, uint64_t now_ns, uint64_t *ret_ns)
{
	uint64_t seconds, fraction;

	if (strcmp(text, "now") == 0) {
		*ret_ns = now_ns;
		return true;
	}
	if (strcmp(text, "yesterday") == 0)
		return parse_before("1d", now_ns, ret_ns);
	if (text[0] == '-')
		return parse_before(text + 1, now_ns, ret_ns);
	if (text[0] != '@')
		return timestamp_parse(text, ret_ns) || parse_local(text, ret_ns);
	text++;
	return take_number(&text, &seconds) && take_fraction(&text, &fraction) && *text == '\0' &&
	       join(seconds, fraction, ret_ns);
}
