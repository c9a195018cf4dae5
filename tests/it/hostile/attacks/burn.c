// Thirty threads that only compute.
#include <pthread.h>

static void *burn(void *nothing) {
    for (;;) __asm__ volatile("");
    return nothing;
}

int main(void) {
    pthread_t thread;
    for (int i = 0; i < 30; i++) pthread_create(&thread, 0, burn, 0);
    burn(0);
}
