/* The subscribers of the load generator: open, read marks, come back. */
#ifndef STREAMS_H
#define STREAMS_H
#include "common.h"

#include "histogram.h"

#define MARK 18
#define LINE 160            /* of a followed stream's line: an id is at most 128 bytes */
#define READ_BYTES (256 * 1024)
#define RETRY (3 * SECOND)  /* an EventSource's own delay before a server has said otherwise */

enum state { CLOSED, CONNECTING, ASKED, OPEN };

struct text { char *bytes; size_t size; };

struct stream {
    enum state state;
    int fd, number;
    unsigned kept;          /* bytes of a mark that a read cut in two */
    char tail[MARK];
    uint64_t count, sum, due; /* `due`: when a followed stream comes back */
};

struct followed { char line[LINE], id[LINE], next_id[LINE]; unsigned length; uint64_t retry; };

static int poll_fd;
static char buffer[READ_BYTES + MARK + 1];
static struct stream *streams;
static struct followed *follow;
static struct text request, then;
static int port, total, begun, answered, waiting, refused, lost, came_back;
static int came_before, came_peak; /* how dense streams come back: most in a slice of 100 ms */
static uint64_t slice;
static uint64_t open_from, open_until;
static uint64_t seen, seen_old, live_from, first_seen, last_seen, last_old;
static struct histogram delivery, answer_time;

static struct text slurp(const char *path) {
    struct text text = {0};
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    fseek(file, 0, SEEK_END);
    text.size = (size_t)ftell(file);
    rewind(file);
    text.bytes = many(text.size + 1, 1);
    if (fread(text.bytes, 1, text.size, file) != text.size) die(path);
    fclose(file);
    return text;
}

static double cpu_seconds(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}



static void note(struct stream *s, uint64_t mark, uint64_t at) {
    s->count++;
    s->sum += mark;
    if (mark < live_from) { /* published before this phase: somebody catches up */
        seen_old++;
        last_old = at;
        return;
    }
    histogram_add(&delivery, at > mark ? at - mark : 0);
    if (!seen++) first_seen = at;
    last_seen = at;
}

static void scan(struct stream *s, char *from, size_t size, uint64_t at) {
    char *p = from, *end = from + size;
    while ((p = memchr(p, '@', (size_t)(end - p)))) {
        if (end - p < MARK) { /* maybe a mark in two pieces */
            s->kept = (unsigned)(end - p);
            memcpy(s->tail, p, s->kept);
            return;
        }
        if (p[MARK - 1] == '@') {
            note(s, strtoull(p + 1, NULL, 16), at);
            p += MARK;
        } else p++;
    }
}

/* Keep what an EventSource keeps: the last id of a whole event, and the delay before it comes back. */
static void remember(struct followed *f, const char *p, size_t size) {
    for (const char *end = p + size, *stop; p < end; p = stop) {
        stop = memchr(p, '\n', (size_t)(end - p));
        size_t part = (size_t)((stop ? stop : end) - p), room = LINE - 1 - f->length;
        memcpy(f->line + f->length, p, part < room ? part : room);
        f->length += (unsigned)(part < room ? part : room);
        if (!stop) return;
        stop++;
        f->line[f->length] = 0;
        if (!strncmp(f->line, "id: ", 4)) strcpy(f->next_id, f->line + 4);
        else if (!strncmp(f->line, "retry: ", 7)) f->retry = strtoull(f->line + 7, NULL, 10) * (SECOND / 1000);
        else if (!f->length) strcpy(f->id, f->next_id);
        f->length = 0;
    }
}

static void dial_stream(struct stream *s) {
    struct sockaddr_in to = loopback(port);
    s->fd = tcp_socket();
    if (connect(s->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) die("connect");
    s->state = CONNECTING;
    s->kept = 0;
    watch(poll_fd, EPOLL_CTL_ADD, s->fd, EPOLLOUT, s);
}

static void end_stream(struct stream *s, uint64_t at) {
    close(s->fd);
    if (s->state != OPEN) waiting--;
    if (s->state != OPEN && !follow) refused++;
    s->state = CLOSED;
    lost++;
    if (follow) s->due = at + follow[s->number].retry;
}

/* Send the request with the stream's own number, and where it was when it comes back. */
static void ask(struct stream *s, uint64_t at) {
    char own[8192];
    size_t size = request.size;
    if (size > sizeof own - 2 * LINE) die("the subscribe request is too long");
    memcpy(own, request.bytes, size + 1);
    char *place = memmem(own, size, "########", 8), digits[9];
    snprintf(digits, sizeof digits, "%08d", s->number);
    if (place) memcpy(place, digits, 8);
    if (follow && follow[s->number].id[0])
        size = size - 2 + (size_t)sprintf(own + size - 2, "Last-Event-ID: %s\r\n\r\n", follow[s->number].id);
    if (send(s->fd, own, size, MSG_NOSIGNAL) != (ssize_t)size) {
        end_stream(s, at);
        return;
    }
    s->state = ASKED;
    watch(poll_fd, EPOLL_CTL_MOD, s->fd, EPOLLIN, s);
}

/* The head has come: judge it, and go on with what follows it in the same read. */
static void greet(struct stream *s, const char *head, size_t size, uint64_t at) {
    int status = size > 12 ? atoi(head + 9) : 0;
    if (status != 200 && status != 101) {
        if (!refused) fprintf(stderr, "subscriber refused: %.*s\n", (int)(size < 300 ? size : 300), head);
        refused++;
    }
    s->state = OPEN;
    answered++;
    waiting--;
    open_until = at;
    if (then.size && send(s->fd, then.bytes, then.size, MSG_NOSIGNAL) != (ssize_t)then.size) die("first message");
}

static void read_stream(struct stream *s, uint32_t events, uint64_t at) {
    if (s->state == CONNECTING) {
        if (events & (EPOLLERR | EPOLLHUP)) end_stream(s, at);
        else ask(s, at);
        return;
    }
    memcpy(buffer, s->tail, s->kept);
    ssize_t got = recv(s->fd, buffer + s->kept, READ_BYTES, 0);
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN) return;
        end_stream(s, at);
        return;
    }
    size_t size = s->kept + (size_t)got, fresh = s->kept;
    s->kept = 0;
    if (s->state == ASKED) greet(s, buffer, size, at);
    if (follow) remember(&follow[s->number], buffer + fresh, (size_t)got);
    scan(s, buffer, size, now());
}

static void open_more(int most, uint64_t at) {
    while (begun < total && waiting < most) {
        dial_stream(&streams[begun++]);
        waiting++;
    }
    if (!follow || answered < total) return;
    if (at - slice > SECOND / 10) {
        if (came_back - came_before > came_peak) came_peak = came_back - came_before;
        came_before = came_back;
        slice = at;
    }
    for (int i = 0; i < total; i++)
        if (streams[i].state == CLOSED && streams[i].due <= at) {
            dial_stream(&streams[i]);
            waiting++;
            came_back++;
        }
}

static void close_streams(void) {
    for (int i = 0; i < begun; i++)
        if (streams[i].state != CLOSED) close(streams[i].fd);
    free(streams);
    free(follow);
    streams = NULL;
    follow = NULL;
    total = begun = answered = waiting = 0;
}

#endif
