/* SPDX-License-Identifier: MIT */
#include "mount-helpers/common/key_text.h"

#include <stdlib.h>
#include <string.h>

void key_text_print(FILE *f, const void *key, size_t key_bytes)
{
	const unsigned char *k = key;

	for (size_t i = 0; i < key_bytes; i++) {
		if (k[i] > ' ' && k[i] < 0x7f && k[i] != '\\')
			(void)putc(k[i], f);
		else if (k[i] == ' ' && i > 0 && i + 1 < key_bytes)
			(void)putc(' ', f);
		else
			(void)fprintf(f, "\\x%02x", k[i]);
	}
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = c == '\0' ? NULL : strchr(digits, c | (c >= 'A' && c <= 'F' ? 32 : 0));

	return found == NULL ? -1 : (int)(found - digits);
}

bool key_text_parse(const char *text, char **ret, size_t *ret_bytes)
{
	char *key = malloc(strlen(text) + 1);
	size_t n = 0;

	if (key == NULL)
		return false;
	while (*text != '\0') {
		int high, low;

		if (*text != '\\') {
			key[n++] = *text++;
		} else if (text[1] == '\\') {
			key[n++] = '\\';
			text += 2;
		} else {
			high = text[1] == 'x' ? hex_digit(text[2]) : -1;
			low = high >= 0 ? hex_digit(text[3]) : -1;
			if (low < 0) {
				free(key);
				return false;
			}
			key[n++] = (char)(high * 16 + low);
			text += 4;
		}
	}
	key[n] = '\0';
	*ret = key;
	*ret_bytes = n;
	return true;
}
