// As many threads as it gets; says why it got no more.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void *idle(void *nothing) {
    pause();
    return nothing;
}

int main(void) {
    for (;;) {
        pthread_t thread;
        int error = pthread_create(&thread, 0, idle, 0);
        if (error) {
            fprintf(stderr, "threads refused: %s\n", strerror(error));
            return 1;
        }
    }
}
