/* Latencies in microseconds: 64 buckets for each power of two, so a quantile is right within 1.6 %. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define BUCKETS 4096

struct histogram { uint64_t count, worst, bucket[BUCKETS]; };

static void histogram_clear(struct histogram *h) { memset(h, 0, sizeof *h); }

static void histogram_add(struct histogram *h, uint64_t nanoseconds) {
    uint64_t micros = nanoseconds / 1000;
    unsigned at = (unsigned)micros;
    if (micros >= 128) {
        unsigned log = 63u - (unsigned)__builtin_clzll(micros);
        at = 64 * (log - 5) + (unsigned)((micros >> (log - 6)) & 63);
    }
    h->bucket[at < BUCKETS ? at : BUCKETS - 1]++;
    h->count++;
    if (micros > h->worst) h->worst = micros;
}

static double histogram_quantile(const struct histogram *h, double q) {
    uint64_t wanted = (uint64_t)(q * (double)h->count), sum = 0;
    for (unsigned b = 0; b < BUCKETS; b++) {
        sum += h->bucket[b];
        if (sum <= wanted) continue;
        if (b < 128) return b;
        unsigned log = b / 64 + 5;
        return (double)((1ull << log) + ((uint64_t)(b & 63) << (log - 6)));
    }
    return (double)h->worst;
}

/* Print as JSON members: NAME_p50_us, NAME_p99_us, NAME_max_us. */
static void histogram_print(const struct histogram *h, const char *name) {
    printf("\"%s_p50_us\": %.0f, \"%s_p99_us\": %.0f, \"%s_max_us\": %llu", name, histogram_quantile(h, 0.5), name,
           histogram_quantile(h, 0.99), name, (unsigned long long)h->worst);
}

#endif
