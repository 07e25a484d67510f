/* The publishers of the load generator: kept-alive connections with one unanswered request each. */
#ifndef PUBLISHERS_H
#define PUBLISHERS_H
#include "streams.h"

struct publisher { int fd; size_t sent, size; char *request; uint64_t asked; size_t have, skip; char answer[16384]; };

static struct publisher *publishers;
static int publisher_count, publish_port;
static unsigned marks; /* events in one request */
static uint64_t asked_requests, done_requests, failed, mark_sum, last_answer;

static void fill_marks(struct publisher *p, uint64_t stamp) {
    char hex[17], *at = p->request, *end = p->request + p->size;
    marks = 0;
    while ((at = memchr(at, '@', (size_t)(end - at))) && at + MARK <= end) {
        if (at[MARK - 1] != '@') {
            at++;
            continue;
        }
        static uint64_t last; /* all marks unlike */
        last = stamp > last ? stamp : last + 1;
        snprintf(hex, sizeof hex, "%016llx", (unsigned long long)last);
        memcpy(at + 1, hex, 16);
        mark_sum += last;
        marks++;
        at += MARK;
    }
}

static int dialled[256], dialled_count; /* connections made before anything was published */

static int dial(int port) {
    struct sockaddr_in to = loopback(port);
    int fd = tcp_socket();
    fcntl(fd, F_SETFL, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to)) die("publisher's connect");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void dial_publisher(struct publisher *p) {
    p->fd = dialled_count ? dialled[--dialled_count] : dial(publish_port);
    watch(poll_fd, EPOLL_CTL_ADD, p->fd, EPOLLIN, p);
}

static void push(struct publisher *p) {
    while (p->sent < p->size) {
        ssize_t sent = send(p->fd, p->request + p->sent, p->size - p->sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            watch(poll_fd, EPOLL_CTL_MOD, p->fd, EPOLLIN | EPOLLOUT, p);
            return;
        }
        if (sent < 0) return; /* its end is read next */
        p->sent += (size_t)sent;
    }
}

static void publish_one(struct publisher *p, uint64_t stamp) {
    fill_marks(p, stamp);
    p->asked = now();
    p->sent = p->have = p->skip = 0;
    asked_requests++;
    push(p);
}

static int idle(const struct publisher *p) { return !p->asked; }

static void finish(struct publisher *p, uint64_t at) {
    int status = atoi(p->answer + 9);
    if (status < 200 || status > 299) {
        if (!failed++) fprintf(stderr, "publish refused: %.*s\n", (int)(p->have < 600 ? p->have : 600), p->answer);
    }
    histogram_add(&answer_time, at - p->asked);
    last_answer = at;
    p->asked = 0;
    done_requests++;
    if (strcasestr(p->answer, "\r\nconnection: close")) {
        close(p->fd);
        dial_publisher(p);
    }
}

/* Read one whole answer. A long body is skipped, its length is all that matters. One is unanswered at a time, so
 * a chunked body ends where the bytes do. */
static void read_answer(struct publisher *p, uint64_t at) {
    static char rest[65536];
    ssize_t got = p->skip ? recv(p->fd, rest, p->skip < sizeof rest ? p->skip : sizeof rest, 0)
                          : recv(p->fd, p->answer + p->have, sizeof p->answer - 1 - p->have, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { /* an idle connection may end; an unanswered request has failed */
        if (!idle(p)) {
            if (!failed++) fprintf(stderr, "publisher's connection ended (%s)\n", got ? strerror(errno) : "by the server");
            p->asked = 0;
            done_requests++;
        }
        close(p->fd);
        dial_publisher(p);
        return;
    }
    if (p->skip) {
        p->skip -= (size_t)got;
        if (!p->skip) finish(p, at);
        return;
    }
    p->have += (size_t)got;
    p->answer[p->have] = 0;
    char *end = strstr(p->answer, "\r\n\r\n");
    if (!end) return;
    end[2] = 0;
    const char *length = header(p->answer, "\r\ncontent-length:");
    int chunked = header(p->answer, "\r\ntransfer-encoding: chunked") != NULL;
    end[2] = '\r';
    size_t body = length ? strtoul(length, NULL, 10) : 0, here = p->have - (size_t)(end + 4 - p->answer);
    if (chunked) {
        if (p->have > 5 && !memcmp(p->answer + p->have - 5, "0\r\n\r\n", 5)) finish(p, at);
        else if (p->have > sizeof p->answer / 2) { /* keep the head and the last bytes */
            memmove(end + 4, p->answer + p->have - 8, 8);
            p->have = (size_t)(end + 4 - p->answer) + 8;
        }
    } else if (here >= body) finish(p, at);
    else p->skip = body - here;
}

static void drive_publisher(struct publisher *p, uint32_t events, uint64_t at) {
    if (events & EPOLLOUT) {
        watch(poll_fd, EPOLL_CTL_MOD, p->fd, EPOLLIN, p);
        push(p);
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_answer(p, at);
}

#endif
