// Takes a lease on the output, so that whoever opens it would wait for this process to agree.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

int main(void) {
    int file = open("output.s", O_RDWR);
    for (int number = 1; number < 65; ++number) signal(number, SIG_IGN);
    flock(file, LOCK_EX);
    fputs(fcntl(file, F_SETLEASE, F_WRLCK) ? "refused\n" : "leased\n", stderr);
    close(creat("leased", 0600));
    for (;;) pause();
}
