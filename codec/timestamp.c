/* SPDX-License-Identifier: MIT */
#include "codec/timestamp.h"

#include <string.h>

#define NS_PER_SEC  UINT64_C(1000000000)
#define SEC_PER_DAY 86400
#define NS_MAX	    ((uint64_t)INT64_MAX)

/* --- days --- */

static bool is_leap(uint64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned int days_in_month(uint64_t year, unsigned int month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days from the epoch to the first of January. */
static uint64_t days_before_year(uint64_t year)
{
	uint64_t past = year - 1;

	return 365 * (year - 1970) + past / 4 - past / 100 + past / 400 -
	       (1969 / 4 - 1969 / 100 + 1969 / 400);
}

/* --- to text --- */

/* Writes exactly 'count' digits and what comes behind them.  Returns the end. */
static char *put_number(char *p, uint64_t number, unsigned int count, char behind)
{
	for (unsigned int i = count; i > 0; i--) {
		p[i - 1] = (char)('0' + number % 10);
		number /= 10;
	}
	p[count] = behind;
	return p + count + 1;
}

const char *timestamp_format(uint64_t ns, char buf[TIMESTAMP_BYTES])
{
	uint64_t seconds = ns / NS_PER_SEC, days = seconds / SEC_PER_DAY;
	unsigned int of_day = (unsigned int)(seconds % SEC_PER_DAY), month = 1;
	uint64_t year = 1970 + days / 366; /* or a later one */
	char *p;

	while (days_before_year(year + 1) <= days)
		year++;
	days -= days_before_year(year);
	while (days >= days_in_month(year, month))
		days -= days_in_month(year, month++);
	p = put_number(buf, year, 4, '-');
	p = put_number(p, month, 2, '-');
	p = put_number(p, days + 1, 2, 'T');
	p = put_number(p, of_day / 3600, 2, ':');
	p = put_number(p, of_day / 60 % 60, 2, ':');
	p = put_number(p, of_day % 60, 2, '.');
	p = put_number(p, ns % NS_PER_SEC, 9, 'Z');
	*p = '\0';
	return buf;
}

/* --- from text --- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads exactly 'count' digits and moves 'text' behind them. */
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

/* Reads ".123", if there is a point: one to nine digits. */
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

bool timestamp_parse(const char *text, uint64_t *ret_ns)
{
	uint64_t year, month, day, hour, minute, second, fraction, days;

	if (!take_digits(&text, 4, &year) || !take_char(&text, '-') ||
	    !take_digits(&text, 2, &month) || !take_char(&text, '-') ||
	    !take_digits(&text, 2, &day) || !take_char(&text, 'T') ||
	    !take_digits(&text, 2, &hour) || !take_char(&text, ':') ||
	    !take_digits(&text, 2, &minute) || !take_char(&text, ':') ||
	    !take_digits(&text, 2, &second) || !take_fraction(&text, &fraction) ||
	    !take_char(&text, 'Z') || *text != '\0')
		return false;
	if (year < 1970 || month < 1 || month > 12 || day < 1 ||
	    day > days_in_month(year, (unsigned int)month) || hour > 23 || minute > 59 ||
	    second > 59)
		return false;
	days = days_before_year(year) + day - 1;
	for (unsigned int m = 1; m < month; m++)
		days += days_in_month(year, m);
	return join(days * SEC_PER_DAY + hour * 3600 + minute * 60 + second, fraction, ret_ns);
}

/* Reads one digit or more. */
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

/* Reads "1h" of "-1h". */
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

bool timestamp_parse_human(const char *text, uint64_t now_ns, uint64_t *ret_ns)
{
	uint64_t seconds, fraction;

	if (strlen(text) == 3 && memcmp(text, "now", 3) == 0) {
		*ret_ns = now_ns;
		return true;
	}
	if (text[0] == '-')
		return parse_before(text + 1, now_ns, ret_ns);
	if (text[0] != '@')
		return timestamp_parse(text, ret_ns);
	text++;
	return take_number(&text, &seconds) && take_fraction(&text, &fraction) && *text == '\0' &&
	       join(seconds, fraction, ret_ns);
}
