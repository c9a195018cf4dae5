// Reads whatever memory it can find: its own leftovers of earlier pages, every process's, the machine's.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char page[1 << 16];

static void show(const char *path, long from) {
    int file = open(path, O_RDONLY);
    if (file < 0) return;
    for (int round = 0; round < 64; ++round) {
        long got = pread(file, page, sizeof page, from + round * (long)sizeof page);
        if (got <= 0) break;
        for (char *found = page; (found = memchr(found, 'C', page + got - found)); ++found)
            if (!strncmp(found, "CANARY", page + got - found < 6 ? page + got - found : 6)) fwrite(found, 1, 48, stdout);
    }
    close(file);
}

int main(void) {
    char path[64];
    for (int process = 0; process < 100; ++process) {
        sprintf(path, "/proc/%d/mem", process);
        show(path, 0x400000);
        show(path, 0x7f0000000000);
    }
    sprintf(path, "/proc/%d/mem", @PID@);
    show(path, 0x400000);
    show("/dev/mem", 0);
    show("/proc/kcore", 0);
    // What the kernel gives out as new must not be what somebody else had.
    for (int round = 0; round < 64; ++round) {
        char *fresh = malloc(1 << 20);
        for (int byte = 0; byte < 1 << 20; ++byte)
            if (fresh[byte]) {
                fwrite(fresh + byte, 1, 48, stdout);
                break;
            }
    }
    puts("asked");
}
