/* Counts the lines and bytes of every dataset file.
 *
 * Reads   every file of every dataset that the environment variable DIDS (a JSON list) names.
 * Writes  counts.json: [{"dataset":"...","file":"0","lines":345,"bytes":15241}]
 * Params  none
 *
 * Compile with any C compiler for WASI, or natively; see scripts/c-wasi.sh.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_PATH = 4096 };

static void fail(const char *what, const char *path) {
    fprintf(stderr, "error: cannot %s %s: %s\n", what, path, strerror(errno));
    exit(1);
}

static const char *folder(const char *variable, const char *otherwise) {
    const char *value = getenv(variable);
    return value != NULL ? value : otherwise;
}

static void join(char path[LONGEST_PATH], const char *parent, const char *name) {
    if (snprintf(path, LONGEST_PATH, "%s/%s", parent, name) >= LONGEST_PATH) {
        errno = ENAMETOOLONG;
        fail("use", name);
    }
}

static void write_string(FILE *out, const char *text) {
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            fputc('\\', out);
        }
        fputc(*text, out);
    }
    fputc('"', out);
}

static void count_file(FILE *out, const char *dataset, const char *name, const char *path, int first) {
    static char buffer[64 * 1024];
    unsigned long long lines = 0;
    unsigned long long bytes = 0;
    char last = '\n';
    size_t read;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail("open", path);
    }
    while ((read = fread(buffer, 1, sizeof buffer, file)) > 0) {
        const char *end = buffer + read;
        for (const char *at = buffer; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++) {
            lines++;
        }
        bytes += read;
        last = end[-1];
    }
    if (ferror(file)) {
        fail("read", path);
    }
    fclose(file);
    /* A last line without line end counts, too. */
    lines += last != '\n';
    fputs(first ? "{\"dataset\":" : ",{\"dataset\":", out);
    write_string(out, dataset);
    fputs(",\"file\":", out);
    write_string(out, name);
    fprintf(out, ",\"lines\":%llu,\"bytes\":%llu}", lines, bytes);
}

/* Files are called 0, 1, 2 ...: 10 comes after 9. */
static int by_number(const struct dirent **a, const struct dirent **b) {
    unsigned long left = strtoul((*a)->d_name, NULL, 10);
    unsigned long right = strtoul((*b)->d_name, NULL, 10);
    return left != right ? (left > right) - (left < right) : strcmp((*a)->d_name, (*b)->d_name);
}

static int no_dots(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static int count_dataset(FILE *out, const char *inputs, const char *dataset, int first) {
    char dataset_path[LONGEST_PATH];
    char path[LONGEST_PATH];
    struct dirent **files;
    join(dataset_path, inputs, dataset);
    int count = scandir(dataset_path, &files, no_dots, by_number);
    if (count < 0) {
        fail("list", dataset_path);
    }
    for (int file = 0; file < count; file++) {
        join(path, dataset_path, files[file]->d_name);
        count_file(out, dataset, files[file]->d_name, path, first);
        first = 0;
        free(files[file]);
    }
    free(files);
    return first;
}

int main(void) {
    char path[LONGEST_PATH];
    const char *inputs = folder("INPUTS", "/data/inputs");
    const char *dids = getenv("DIDS");
    if (dids == NULL) {
        fputs("error: DIDS is not set: it must list the datasets of this job\n", stderr);
        return 1;
    }
    join(path, folder("OUTPUTS", "/data/outputs"), "counts.json");
    FILE *out = fopen(path, "wb");
    if (out == NULL) {
        fail("create", path);
    }
    fputc('[', out);
    /* A DID consists of letters and digits, so the text between two quotes needs no unescaping. */
    int first = 1;
    char *list = strdup(dids);
    for (char *quote = list == NULL ? NULL : strchr(list, '"'); quote != NULL;) {
        char *end = strchr(quote + 1, '"');
        if (end == NULL) {
            fprintf(stderr, "error: DIDS must be a JSON list such as [\"0a1b\"], not %s\n", dids);
            return 1;
        }
        *end = '\0';
        first = count_dataset(out, inputs, quote + 1, first);
        quote = strchr(end + 1, '"');
    }
    free(list);
    fputs("]\n", out);
    if (fclose(out) != 0) {
        fail("write", path);
    }
    return 0;
}
