// Makes its standard output hold a megabyte that nobody has read yet, fills it, and is gone.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void) {
    static char text[1 << 20];
    memset(text, 'x', sizeof text);
    int size = fcntl(1, F_SETPIPE_SZ, 1 << 20);
    fprintf(stderr, "%d bytes\n", size);
    fcntl(1, F_SETFL, O_NONBLOCK | O_ASYNC);
    fcntl(1, F_SETOWN, 1);
    while (write(1, text, sizeof text) > 0)
        ;
}
