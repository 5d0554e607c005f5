/* SPDX-License-Identifier: MIT */
/* Any command line, one argument a line: it is taken, with each value in its range, and each value
 * as options_value_text() prints it is taken again as the same; or it is refused with one line that
 * says why. */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/base/options.h"

#define ARGUMENTS_MAX 16
#define INPUT_MAX     2000

static int64_t value_of(const struct options *o, const struct option_row *row)
{
	int64_t value;

	memcpy(&value, (const char *)o + row->field_offset, sizeof(value));
	return value;
}

static void check_again(const struct option_row *row, int64_t value)
{
	char text[OPTION_TEXT_BYTES], program[] = "freyjafs", dash[] = "-o", item[200];
	char *arguments[] = { program, program, program, dash, item, NULL };
	struct options again;
	struct diag diag = { "" };

	(void)snprintf(item, sizeof(item), "%s=%s", row->name,
		       options_value_text(row->kind, value, text));
	FUZZ_CHECK(options_parse(5, arguments, &again, &diag) == 0);
	FUZZ_CHECK(value_of(&again, row) == value);
	options_free(&again);
}

static void check_values(const struct options *o)
{
	for (size_t i = 0; i < options_row_count; i++) {
		const struct option_row *row = &options_rows[i];
		int64_t value = value_of(o, row);

		if (value == row->default_value)
			continue;
		FUZZ_CHECK(
			(value >= row->min && value <= row->max) ||
			((row->kind == OPTION_DURATION || row->kind == OPTION_PERCENT) &&
			 value == LOG_WRITER_NEVER) ||
			((row->kind == OPTION_DURATION || row->kind == OPTION_TIME) && value == 0));
		check_again(row, value);
	}
	FUZZ_CHECK(o->datadir != NULL && o->datadir[0] != '\0');
	FUZZ_CHECK(o->mountpoint != NULL && o->mountpoint[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[INPUT_MAX + 1], program[] = "freyjafs", *arguments[ARGUMENTS_MAX + 1],
				  *rest = text;
	struct options options;
	struct diag diag = { "" };
	int count = 0, err;

	if (size > INPUT_MAX)
		size = INPUT_MAX;
	memcpy(text, data, size);
	text[size] = '\0';
	arguments[count++] = program;
	while (rest != NULL && count < ARGUMENTS_MAX)
		arguments[count++] = strsep(&rest, "\n");
	arguments[count] = NULL;
	err = options_parse(count, arguments, &options, &diag);
	FUZZ_CHECK(err == 0 || err == -EINVAL);
	if (err < 0) {
		FUZZ_CHECK(diag.text[0] != '\0' && strchr(diag.text, '\n') == NULL);
	} else if (!options.help && !options.version) {
		FUZZ_CHECK(options.mount_options != NULL);
		check_values(&options);
	}
	options_free(&options);
	return 0;
}
