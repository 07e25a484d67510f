/* Load from outside, one thread: subscribers that count, time and check every event, and publishers.
 *
 * Every event carries a mark, "@" + 16 hex digits of CLOCK_MONOTONIC nanoseconds + "@", somewhere in its
 * data. A reader looks for marks and nothing else, so it serves SSE, WebSocket and any framing alike, and
 * costs a memchr per read. Subscribers add up the marks they saw: the sum of the right marks is the proof
 * that nothing was lost or repeated.
 *
 * Commands come one a line on standard input, as words; each is answered by one JSON line:
 *   open port= connections= request=FILE [then=FILE] [waiting=200] [wait=1] [follow=0]
 *        opens streams, at most `waiting` of them unanswered at once. "########" in the request becomes the
 *        stream's number; `then` is sent once the head has come (a WebSocket's first message). With wait=0 the
 *        answer comes at once. follow=1 behaves like an EventSource: a stream that ends comes back after the
 *        server's `retry:` with the last `id:`.
 *   dial port= connections=
 *        makes the connections that the next `publish` uses
 *   publish port= request=FILE [events=0 | seconds=0] [rate=0] [window=0] [connections=1] [receivers=0] [behind=0]
 *        sends requests over kept-alive connections, one unanswered on each; marks in the request (every
 *        @0000000000000000@) are filled in. With both `events` and `seconds` the first that is reached ends it; what is
 *        not delivered 15 s later is counted as missing. `window` bounds the events that not all receivers have, `rate`
 *        fixes requests a second. `receivers` streams get each event; `behind` older events come to each first.
 *   until port= request=FILE [marks=1] [repeats=1]
 *        opens one stream at a time and reads to its marks-th event: the time from connecting to there
 *   watch seconds=     reads only
 *   close              closes all streams
 */
#include "publishers.h"
#include "streams.h"

#define QUIET (10 * SECOND) /* nothing more is coming */
#define LATE (15 * SECOND)  /* after the last request: what comes later is missing */

static int is_publisher(const void *subject) {
    return publishers && (const char *)subject >= (char *)publishers && (const char *)subject < (char *)(publishers + publisher_count);
}

/* Serve what is ready; wait for it at most so many nanoseconds. */
static void turn(uint64_t wait) {
    struct epoll_event ready[1024];
    struct timespec limit = {.tv_sec = (time_t)(wait / SECOND), .tv_nsec = (long)(wait % SECOND)};
    int n = epoll_pwait2(poll_fd, ready, 1024, &limit, NULL);
    for (int i = 0; i < n; i++) {
        void *subject = ready[i].data.ptr;
        if (is_publisher(subject)) drive_publisher(subject, ready[i].events, now());
        else read_stream(subject, ready[i].events, now());
    }
}

static const char *word(const char *line, const char *name, char *into, size_t size) {
    char pattern[64];
    snprintf(pattern, sizeof pattern, " %s=", name);
    const char *found = strstr(line, pattern);
    if (!found) return NULL;
    found += strlen(pattern);
    snprintf(into, size, "%.*s", (int)strcspn(found, " \n"), found);
    return into;
}

static double number(const char *line, const char *name, double fallback) {
    char text[64];
    return word(line, name, text, sizeof text) ? strtod(text, NULL) : fallback;
}

static int most_waiting = 200;

static void command_open(const char *line) {
    char path[4096];
    close_streams();
    free(request.bytes);
    free(then.bytes);
    then = (struct text){0};
    port = (int)number(line, "port", 0);
    total = (int)number(line, "connections", 1);
    most_waiting = (int)number(line, "waiting", 200);
    if (!word(line, "request", path, sizeof path)) die("open needs request=FILE");
    request = slurp(path);
    if (word(line, "then", path, sizeof path)) then = slurp(path);
    streams = many((size_t)total, sizeof *streams);
    for (int i = 0; i < total; i++) streams[i].number = i;
    if (number(line, "follow", 0) > 0) {
        follow = many((size_t)total, sizeof *follow);
        for (int i = 0; i < total; i++) follow[i].retry = RETRY;
    }
    refused = lost = came_back = came_before = came_peak = 0;
    seen = seen_old = 0;
    open_from = open_until = live_from = now();
    int wait = number(line, "wait", 1) > 0;
    for (uint64_t end = now() + 60 * SECOND; wait && answered + refused < total && now() < end;) {
        open_more(most_waiting, now());
        turn(10 * MILLISECOND);
    }
    for (uint64_t end = now() + SECOND / 2; wait && now() < end;) turn(10 * MILLISECOND); /* first frames */
    printf("{\"opened\": %d, \"refused\": %d, \"seconds\": %.4f}\n", answered, refused, (double)(open_until - open_from) / 1e9);
}

/* How many streams did not get exactly what they should: by count, and by the sum of the marks where it is known. */
static int wrong_streams(uint64_t count, uint64_t sum, const uint64_t *count_before, const uint64_t *sum_before) {
    int wrong = 0;
    for (int i = 0; i < begun; i++)
        wrong += streams[i].count - count_before[i] != count || (sum && streams[i].sum - sum_before[i] != sum);
    return wrong;
}

static void command_dial(const char *line) {
    int port = (int)number(line, "port", 0), count = (int)number(line, "connections", 1);
    for (int i = 0; i < count && dialled_count < (int)(sizeof dialled / sizeof *dialled); i++)
        dialled[dialled_count++] = dial(port);
    printf("{\"dialled\": %d}\n", dialled_count);
}

static void command_publish(const char *line) {
    char path[4096];
    uint64_t events = (uint64_t)number(line, "events", 0), receivers = (uint64_t)number(line, "receivers", 0);
    uint64_t window = (uint64_t)number(line, "window", 0), behind = (uint64_t)number(line, "behind", 0);
    double seconds = number(line, "seconds", 0), rate = number(line, "rate", 0);
    int streams_wanted = (int)receivers, everybody = streams_wanted == total && total > 0;
    if (!word(line, "request", path, sizeof path)) die("publish needs request=FILE");
    struct text event = slurp(path);
    publish_port = (int)number(line, "port", 0);
    publisher_count = (int)number(line, "connections", 1);
    publishers = many((size_t)publisher_count, sizeof *publishers);
    for (int i = 0; i < publisher_count; i++) {
        publishers[i].request = many(event.size + 1, 1);
        memcpy(publishers[i].request, event.bytes, event.size);
        publishers[i].size = event.size;
        dial_publisher(&publishers[i]);
    }
    uint64_t *count_before = many((size_t)total, 8), *sum_before = many((size_t)total, 8);
    for (int i = 0; i < total; i++) {
        count_before[i] = behind ? 0 : streams[i].count;
        sum_before[i] = behind ? 0 : streams[i].sum;
    }
    histogram_clear(&delivery);
    histogram_clear(&answer_time);
    asked_requests = done_requests = failed = mark_sum = seen = 0;
    if (!behind) seen_old = 0;
    int lost_before = lost;
    double cpu = cpu_seconds();
    uint64_t started = now(), progress = started, events_done = 0, at, due = started;
    live_from = started;
    uint64_t stop_at = seconds > 0 ? started + (uint64_t)(seconds * 1e9) : UINT64_MAX;
    if (!events && seconds > 0) events = UINT64_MAX / 2;
    int next = 0, sending = 1;
    while (1) {
        at = now();
        sending = sending && asked_requests < events && at < stop_at;
        while (sending && asked_requests < events) {
            uint64_t sent = asked_requests * (marks ? marks : 1);
            if (rate > 0 && due > at) break;
            if (window && receivers && sent - seen / receivers >= window) break;
            int tries = publisher_count;
            while (tries && !idle(&publishers[next])) next = (next + 1) % publisher_count, tries--;
            if (!tries) break; /* all wait for answers */
            publish_one(&publishers[next], now());
            if (rate > 0) due = started + (uint64_t)((double)asked_requests * 1e9 / rate);
        }
        open_more(most_waiting, at);
        uint64_t wait = rate > 0 && sending ? (due > at ? due - at : 0) : 50 * MILLISECOND;
        uint64_t before = seen + seen_old + done_requests;
        turn(wait);
        if (seen + seen_old + done_requests != before) progress = now();
        events_done = asked_requests * marks;
        if (!sending && done_requests == asked_requests && seen >= events_done * receivers
            && seen_old >= behind * receivers) break;
        if (now() - progress > QUIET && (!rate || !sending)) break;
        if (at > stop_at && at - stop_at > LATE) break;
    }
    if (receivers) /* what is repeated would come now */
        for (uint64_t end = now() + SECOND / 10; now() < end;) turn(10 * MILLISECOND);
    uint64_t ended = last_answer > last_seen ? last_answer : last_seen;
    double span = (double)((ended > started ? ended : now()) - started) / 1e9;
    uint64_t right = events_done + behind;
    printf("{\"requests\": %llu, \"events\": %llu, \"failed\": %llu, \"expected\": %llu, \"deliveries\": %llu, "
           "\"caught_up\": %llu, \"caught_up_seconds\": %.4f, \"wrong_streams\": %d, \"lost_connections\": %d, "
           "\"refused\": %d, \"came_back\": %d, \"came_back_peak\": %d, \"seconds\": %.4f, \"generator_cpu_seconds\": %.4f, ",
           (unsigned long long)done_requests, (unsigned long long)events_done, (unsigned long long)failed,
           (unsigned long long)(events_done * receivers), (unsigned long long)seen, (unsigned long long)seen_old,
           seen_old ? (double)(last_old - open_from) / 1e9 : 0.0,
           everybody ? wrong_streams(right, behind ? 0 : mark_sum, count_before, sum_before) : 0,
           lost - lost_before, refused, came_back, came_peak, span, cpu_seconds() - cpu);
    histogram_print(&delivery, "delivery");
    printf(", ");
    histogram_print(&answer_time, "answer");
    printf("}\n");
    for (int i = 0; i < publisher_count; i++) {
        close(publishers[i].fd);
        free(publishers[i].request);
    }
    free(publishers);
    free(count_before);
    free(sum_before);
    free(event.bytes);
    publishers = NULL;
    publisher_count = 0;
}

/* One blocking connection at a time: nothing else runs in this process meanwhile. */
static void command_until(const char *line) {
    char path[4096];
    int wanted = (int)number(line, "marks", 1), repeats = (int)number(line, "repeats", 1), reached = 0;
    struct sockaddr_in to = loopback((int)number(line, "port", 0));
    if (!word(line, "request", path, sizeof path)) die("until needs request=FILE");
    struct text event = slurp(path);
    struct timeval patience = {.tv_sec = 30};
    static struct histogram first;
    histogram_clear(&first);
    for (int i = 0; i < repeats; i++) {
        struct stream one = {0};
        uint64_t from = now();
        int fd = tcp_socket();
        fcntl(fd, F_SETFL, 0);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (connect(fd, (struct sockaddr *)&to, sizeof to)) die("connect");
        if (send(fd, event.bytes, event.size, MSG_NOSIGNAL) != (ssize_t)event.size) die("send");
        while (one.count < (uint64_t)wanted) {
            memcpy(buffer, one.tail, one.kept);
            ssize_t got = recv(fd, buffer + one.kept, READ_BYTES, 0);
            if (got <= 0) break; /* ended, or silent for 30 s: counted as not reached */
            size_t size = one.kept + (size_t)got;
            one.kept = 0;
            scan(&one, buffer, size, now());
        }
        reached += one.count >= (uint64_t)wanted;
        histogram_add(&first, now() - from);
        close(fd);
    }
    free(event.bytes);
    printf("{\"reached\": %d, \"repeats\": %d, ", reached, repeats);
    histogram_print(&first, "until");
    printf("}\n");
}

static void command_watch(const char *line) {
    double cpu = cpu_seconds();
    int away = lost;
    uint64_t end = now() + (uint64_t)(number(line, "seconds", 1) * 1e9);
    while (now() < end) {
        open_more(most_waiting, now());
        turn(10 * MILLISECOND);
    }
    int open = 0;
    for (int i = 0; i < begun; i++) open += streams[i].state == OPEN;
    printf("{\"open\": %d, \"lost_connections\": %d, \"came_back\": %d, \"came_back_peak\": %d, "
           "\"generator_cpu_seconds\": %.4f}\n",
           open, lost - away, came_back, came_peak, cpu_seconds() - cpu);
}

int main(void) {
    char line[16384];
    raise_file_limit();
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin)) {
        if (!strncmp(line, "open ", 5)) command_open(line);
        else if (!strncmp(line, "dial ", 5)) command_dial(line);
        else if (!strncmp(line, "publish ", 8)) command_publish(line);
        else if (!strncmp(line, "until ", 6)) command_until(line);
        else if (!strncmp(line, "watch ", 6)) command_watch(line);
        else if (!strncmp(line, "close", 5)) {
            close_streams();
            printf("{}\n");
        } else {
            fprintf(stderr, "unknown command: %s", line);
            return 2;
        }
    }
    return 0;
}
