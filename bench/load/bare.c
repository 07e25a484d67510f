/* The floor: the least that a server on these sockets can do. `bare` listens on a free port of 127.0.0.1, prints it, and
 *   GET          keeps the socket as a subscriber (101 with "Upgrade: websocket" in the request, else 200)
 *   POST         wraps the body into one frame, calls `send` once for each subscriber, answers 201
 * No parser, no filter, no store, no slow subscriber: what it reaches is the ceiling of the load generator and of
 * the kernel, not a server to use.
 */
#include "common.h"

#define MOST 20000
#define BODY (512 * 1024)

struct peer { int fd; size_t have; char *bytes; };

static int subscribers[MOST], websocket[MOST], count, poll_fd;
static uint64_t place;
static char frame[BODY + 64], text_frame[BODY + 64];

static size_t sse_frame(const char *body, size_t size) {
    size_t head = (size_t)sprintf(text_frame, "id: %016llx\ndata: ", (unsigned long long)++place);
    memcpy(text_frame + head, body, size);
    memcpy(text_frame + head + size, "\n\n", 2);
    return head + size + 2;
}

static size_t websocket_frame(const char *body, size_t size) {
    size_t head = 2;
    frame[0] = (char)0x81;
    if (size < 126) frame[1] = (char)size;
    else if (size < 65536) {
        frame[1] = 126, frame[2] = (char)(size >> 8), frame[3] = (char)size;
        head = 4;
    } else {
        frame[1] = 127;
        for (int i = 0; i < 8; i++) frame[2 + i] = (char)((uint64_t)size >> (56 - 8 * i));
        head = 10;
    }
    memcpy(frame + head, body, size);
    return head + size;
}

static void fan_out(const char *body, size_t size) {
    size_t text = sse_frame(body, size), binary = websocket_frame(body, size);
    for (int i = 0; i < count; i++) {
        if (subscribers[i] < 0) continue;
        const char *bytes = websocket[i] ? frame : text_frame;
        size_t length = websocket[i] ? binary : text;
        if (send(subscribers[i], bytes, length, MSG_NOSIGNAL) != (ssize_t)length) {
            close(subscribers[i]);
            subscribers[i] = -1; /* gone, or slower than this program cares for */
        }
    }
}

static void answer(int fd, const char *text) {
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0) perror("answer");
}

static void subscribe(struct peer *p) {
    if (count == MOST) die("too many subscribers");
    websocket[count] = header(p->bytes, "upgrade: websocket") != NULL;
    answer(p->fd, websocket[count] ? "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
                                   : "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    subscribers[count++] = p->fd;
    epoll_ctl(poll_fd, EPOLL_CTL_DEL, p->fd, NULL);
    free(p->bytes);
    free(p);
}

/* Whole requests only; one at a time on a connection. */
static void serve(struct peer *p) {
    ssize_t got = recv(p->fd, p->bytes + p->have, BODY - 1 - p->have, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        close(p->fd);
        free(p->bytes);
        free(p);
        return;
    }
    p->have += (size_t)got;
    p->bytes[p->have] = 0;
    char *end = strstr(p->bytes, "\r\n\r\n");
    if (!end) return;
    if (!strncmp(p->bytes, "GET ", 4)) {
        subscribe(p);
        return;
    }
    const char *length = header(p->bytes, "\r\ncontent-length:");
    size_t body = length ? strtoul(length, NULL, 10) : 0;
    if ((size_t)(p->bytes + p->have - end - 4) < body) return;
    fan_out(end + 4, body);
    answer(p->fd, "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}");
    p->have = 0;
}

int main(void) {
    raise_file_limit();
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    int listener = tcp_socket();
    struct sockaddr_in at = loopback(0);
    socklen_t size = sizeof at;
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) die("listen");
    getsockname(listener, (struct sockaddr *)&at, &size);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    watch(poll_fd, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    struct epoll_event ready[256];
    while (1) {
        int n = epoll_wait(poll_fd, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            if (ready[i].data.ptr) {
                serve(ready[i].data.ptr);
                continue;
            }
            int fd, one = 1;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                struct peer *p = many(1, sizeof *p);
                p->fd = fd;
                p->bytes = many(BODY, 1); /* untouched pages cost nothing */
                watch(poll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, p);
            }
        }
    }
}
