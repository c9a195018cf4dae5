// As many descriptors as it gets; says how many and why no more.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int main(void) {
    int count = 0;
    while (open("/dev/null", O_RDONLY) >= 0) count++;
    printf("%d more: %s\n", count, strerror(errno));
}
