/* Load from outside: N subscribers that count and time every event, and a publisher.
 *
 * Every event carries a mark, "@" + 16 hex digits of CLOCK_MONOTONIC nanoseconds + "@", somewhere in its
 * data. The reader looks for marks and nothing else, so it serves SSE, WebSocket and any framing alike,
 * and costs a memchr per read. Prints one JSON object.
 *
 * fan PORT CONNECTIONS REQUEST_FILE PUBLISH_PORT PUBLISH_FILE EVENTS RATE WINDOW
 *   REQUEST_FILE   the subscriber's request, verbatim
 *   PUBLISH_FILE   one publish request, verbatim, with the mark's place as @0000000000000000@ (every
 *                  occurrence is replaced); EVENTS is how many requests are sent
 *   RATE           requests a second, 0 for as fast as WINDOW unanswered requests allow
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MARK 18
#define BUCKETS 4096 /* latency histogram: 64 per power of two, in microseconds */
#define READ_BYTES (256 * 1024)

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static char *slurp(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(*size + 1);
    if (fread(text, 1, *size, file) != *size) die(path);
    text[*size] = 0;
    fclose(file);
    return text;
}

static int dial(int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void send_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0) die("send");
        data += sent;
        size -= (size_t)sent;
    }
}

/* -- subscribers ------------------------------------------------------------------------------------- */

struct stream {
    int fd;
    unsigned kept;     /* bytes of a mark that a read cut in two */
    char tail[MARK];
};

static uint64_t histogram[BUCKETS], seen, worst, first_seen, last_seen;
static volatile uint64_t published;
static volatile int publishing_done;

static void note(uint64_t sent_at, uint64_t at) {
    uint64_t micros = at > sent_at ? (at - sent_at) / 1000 : 0;
    if (micros > worst) worst = micros;
    unsigned bucket;
    if (micros < 128) bucket = (unsigned)micros;
    else {
        unsigned log = 63u - (unsigned)__builtin_clzll(micros);
        bucket = 64 * (log - 5) + (unsigned)((micros >> (log - 6)) & 63);
    }
    histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    if (!seen) first_seen = at;
    last_seen = at;
    seen++;
}

static double quantile(double q) {
    uint64_t wanted = (uint64_t)(q * (double)seen), sum = 0;
    for (unsigned b = 0; b < BUCKETS; b++) {
        sum += histogram[b];
        if (sum > wanted) {
            if (b < 128) return b;
            unsigned log = b / 64 + 5;
            return (double)((1ull << log) + ((uint64_t)(b & 63) << (log - 6)));
        }
    }
    return (double)worst;
}

static void scan(struct stream *s, char *buffer, size_t size, uint64_t at) {
    char *p = buffer, *end = buffer + size;
    while ((p = memchr(p, '@', (size_t)(end - p)))) {
        if (end - p < MARK) { /* maybe a mark in two pieces */
            s->kept = (unsigned)(end - p);
            memcpy(s->tail, p, s->kept);
            return;
        }
        if (p[MARK - 1] == '@') {
            note(strtoull(p + 1, NULL, 16), at);
            p += MARK;
        } else p++;
    }
}

static void *publish(void *);

int main(int argc, char **argv) {
    if (argc != 9) {
        fprintf(stderr, "fan PORT CONNECTIONS REQUEST_FILE PUBLISH_PORT PUBLISH_FILE EVENTS RATE WINDOW\n");
        return 2;
    }
    int port = atoi(argv[1]), connections = atoi(argv[2]);
    size_t request_size;
    char *request = slurp(argv[3], &request_size), *buffer = malloc(READ_BYTES + MARK);
    struct stream *streams = calloc((size_t)connections, sizeof *streams);
    int poll = epoll_create1(0);
    for (int i = 0; i < connections; i++) {
        streams[i].fd = dial(port);
        send_all(streams[i].fd, request, request_size);
        fcntl(streams[i].fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &streams[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, streams[i].fd, &event);
        if (i % 50 == 49) usleep(5000); /* below every server's backlog */
    }
    uint64_t settle = now() + 1500000000u;
    pthread_t publisher;
    int started = 0, lost = 0;
    uint64_t events = strtoull(argv[6], NULL, 10), expected = events * (uint64_t)connections, quiet_since = now();
    struct epoll_event ready[1024];
    while (1) {
        int n = epoll_wait(poll, ready, 1024, 50);
        uint64_t at = now();
        if (!started && at > settle) {
            pthread_create(&publisher, NULL, publish, argv + 4);
            started = 1;
            quiet_since = at;
        }
        uint64_t before = seen;
        for (int i = 0; i < n; i++) {
            struct stream *s = ready[i].data.ptr;
            memcpy(buffer, s->tail, s->kept);
            ssize_t got = recv(s->fd, buffer + s->kept, READ_BYTES, 0);
            if (got <= 0) {
                if (got < 0 && errno == EAGAIN) continue;
                epoll_ctl(poll, EPOLL_CTL_DEL, s->fd, NULL);
                lost++;
                continue;
            }
            size_t size = s->kept + (size_t)got;
            s->kept = 0;
            scan(s, buffer, size, now());
        }
        if (seen != before) quiet_since = at;
        if (started && seen >= expected) break;
        if (started && publishing_done && at - quiet_since > 10000000000ull) break; /* nothing for 10 s */
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    double seconds = (double)(last_seen - first_seen) / 1e9;
    printf("{\"connections\": %d, \"published\": %llu, \"expected\": %llu, \"deliveries\": %llu, \"lost_connections\": %d, "
           "\"seconds\": %.4f, \"per_second\": %.0f, \"p50_us\": %.0f, \"p99_us\": %.0f, \"max_us\": %llu, "
           "\"generator_cpu_seconds\": %.3f}\n",
           connections, (unsigned long long)published, (unsigned long long)expected, (unsigned long long)seen, lost,
           seconds, seconds > 0 ? (double)seen / seconds : 0.0, quantile(0.5), quantile(0.99),
           (unsigned long long)worst, cpu);
    return seen == expected ? 0 : 3;
}

/* -- publisher ------------------------------------------------------------------------------------------ */

/* Count whole HTTP responses in what was read: by Content-Length, which every peer here sends. */
static int read_response(int fd, char *buffer, size_t *have) {
    while (1) {
        char *head_end = memmem(buffer, *have, "\r\n\r\n", 4);
        if (head_end) {
            size_t head = (size_t)(head_end - buffer) + 4, body = 0;
            char saved = *head_end;
            *head_end = 0;
            char *length = strcasestr(buffer, "content-length:");
            if (length) body = strtoul(length + 15, NULL, 10);
            int status = atoi(buffer + 9);
            *head_end = saved;
            if (*have >= head + body) {
                memmove(buffer, buffer + head + body, *have - head - body);
                *have -= head + body;
                return status;
            }
        }
        ssize_t got = recv(fd, buffer + *have, 65536 - *have - 1, 0);
        if (got <= 0) die("publisher's connection");
        *have += (size_t)got;
        buffer[*have] = 0;
    }
}

static void *publish(void *given) {
    char **argv = given, answer[65536];
    int fd = dial(atoi(argv[0]));
    size_t size, have = 0;
    char *request = slurp(argv[1], &size);
    uint64_t events = strtoull(argv[2], NULL, 10), rate = strtoull(argv[3], NULL, 10), begun = now();
    uint64_t window = strtoull(argv[4], NULL, 10), unanswered = 0;
    for (uint64_t i = 0; i < events; i++) {
        if (rate) {
            uint64_t due = begun + i * 1000000000u / rate;
            struct timespec t = {.tv_sec = (time_t)(due / 1000000000u), .tv_nsec = (long)(due % 1000000000u)};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
        }
        uint64_t stamp = now();
        char hex[17];
        for (char *p = request; (p = memchr(p, '@', (size_t)(request + size - p))) && p + MARK <= request + size; p += MARK)
            if (p[MARK - 1] == '@') {
                snprintf(hex, sizeof hex, "%016llx", (unsigned long long)stamp++); /* several marks: all unlike */
                memcpy(p + 1, hex, 16);
            }
        send_all(fd, request, size);
        unanswered++;
        while (unanswered >= (window ? window : 1)) {
            int status = read_response(fd, answer, &have);
            if (status < 200 || status > 299) {
                fprintf(stderr, "publisher: status %d: %.200s\n", status, answer);
                exit(1);
            }
            unanswered--;
        }
        published = i + 1;
    }
    while (unanswered--) read_response(fd, answer, &have);
    publishing_done = 1;
    return NULL;
}
