// Computes for as long as it is let.
constexpr unsigned long spin() {
    unsigned long sum = 0;
    for (unsigned long i = 0; i < 1000000000; ++i)
        for (unsigned long j = 0; j < 1000000000; ++j) sum += i ^ j;
    return sum;
}
constexpr unsigned long value = spin();
unsigned long use = value;
